/* libosip2: Request-URI, From, To, Via, CSeq, Contact, Call-ID and Content-Length are
 * parsed with the message, as it always does, and so are Allow, Accept, Content-Type and
 * Record-Route, which routing does not need. Max-Forwards and P-Asserted-Identity are
 * headers like any other: looked up, then read as a number and as a From. Numbers of
 * CSeq and Content-Length stay text. */
#include <sys/time.h>
#include <osipparser2/osip_parser.h>
#include "peer.h"

static int started;

static int parse(void)
{
	osip_message_t *sip = NULL;
	osip_header_t *hops = NULL, *asserted = NULL;
	osip_from_t *identity = NULL;
	osip_contact_t *contact = NULL;
	osip_generic_param_t *tag = NULL, *branch = NULL;
	osip_via_t *via;
	int there;

	if (!started) {
		parser_init();
		started = 1;
	}
	if (osip_message_init(&sip) || osip_message_parse(sip, message, message_bytes)) {
		osip_message_free(sip);
		return 0;
	}
	via = osip_list_get(&sip->vias, 0);
	osip_message_get_contact(sip, 0, &contact);
	osip_message_header_get_byname(sip, "max-forwards", 0, &hops);
	osip_message_header_get_byname(sip, "p-asserted-identity", 0, &asserted);
	if (sip->from)
		osip_from_get_tag(sip->from, &tag);
	if (via)
		osip_via_param_get_byname(via, "branch", &branch);
	if (asserted && osip_from_init(&identity) == 0)
		osip_from_parse(identity, asserted->hvalue);
	there = sip->req_uri && sip->req_uri->host && sip->from && tag && sip->to && sip->cseq && sip->call_id
		&& sip->content_length && contact && branch && hops && osip_atoi(hops->hvalue) > 0
		&& identity && identity->url;
	osip_from_free(identity);
	osip_message_free(sip);
	return there;
}
