/* What every contestant in C shares: the message, the rounds, the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char message[65536];
static size_t message_bytes;

/* Messages timed together, as in ../src/main.rs. */
#define TIMED 100

/* Parses the message and reads every field routing needs; 0 if one is missing. */
static int parse(void);

int main(int argc, char **argv)
{
	struct timespec from, to;
	double took, fastest = 0;
	long rounds, round, in_row;
	FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;

	if (!file) {
		fprintf(stderr, "usage: %s MESSAGE ROUNDS\n", argv[0]);
		return 2;
	}
	message_bytes = fread(message, 1, sizeof(message) - 1, file);
	fclose(file);
	rounds = atol(argv[2]);
	if (!parse()) {
		fprintf(stderr, "%s: a field is missing\n", argv[0]);
		return 1;
	}
	for (round = 0; round < rounds; round += TIMED) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (in_row = 0; in_row < TIMED; in_row++)
			if (!parse())
				return 1;
		clock_gettime(CLOCK_MONOTONIC, &to);
		took = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / TIMED;
		if (!round || took < fastest)
			fastest = took;
	}
	printf("%.1f\n", fastest);
	return 0;
}
