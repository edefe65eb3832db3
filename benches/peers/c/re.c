/* libre: Request-URI, From, To, Via, CSeq, Call-ID, Max-Forwards and Content-Length are
 * parsed with the message, the two addresses with their URIs; Contact and
 * P-Asserted-Identity on demand. */
/* Without it the headers of the library declare these types themselves. */
#define HAVE_INTTYPES_H
#include <string.h>
#include <re/re.h>
#include "peer.h"

static struct mbuf *buffer;

static int address(const struct sip_msg *msg, enum sip_hdrid id)
{
	const struct sip_hdr *header = sip_msg_hdr(msg, id);
	struct sip_addr address;

	return header && sip_addr_decode(&address, &header->val) == 0 && pl_isset(&address.uri.scheme);
}

static int parse(void)
{
	struct sip_msg *msg = NULL;
	int there;

	if (!buffer) {
		buffer = mbuf_alloc(message_bytes);
		mbuf_write_mem(buffer, (uint8_t *)message, message_bytes);
	}
	buffer->pos = 0;
	if (sip_msg_decode(&msg, buffer))
		return 0;
	there = pl_isset(&msg->uri.host) && pl_isset(&msg->from.tag) && pl_isset(&msg->to.auri)
		&& pl_isset(&msg->via.branch) && pl_isset(&msg->cseq.met) && pl_isset(&msg->callid)
		&& pl_u32(&msg->maxfwd) > 0 && pl_isset(&msg->clen) && pl_u32(&msg->clen) < message_bytes
		&& address(msg, SIP_HDR_CONTACT) && address(msg, SIP_HDR_P_ASSERTED_IDENTITY);
	mem_deref(msg);
	return there;
}
