/* sofia-sip: every header it knows is parsed with the message, as values with their
 * numbers, needed or not; with the extended class P-Asserted-Identity too. */
#include <string.h>
#include <sofia-sip/su.h>
#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_extra.h>
#include "peer.h"

static msg_mclass_t const *class;

static int parse(void)
{
	msg_t *msg;
	sip_t *sip;
	int there;

	if (!class) {
		su_init();
		class = sip_extend_mclass(NULL);
	}
	msg = msg_make(class, 0, message, (ssize_t)message_bytes);
	sip = msg ? (sip_t *)msg_public(msg, SIP_PROTOCOL_TAG) : NULL;
	there = sip && sip->sip_request && sip->sip_request->rq_url->url_host
		&& sip->sip_from && sip->sip_from->a_tag && sip->sip_to && sip->sip_cseq && sip->sip_call_id
		&& sip->sip_via && sip->sip_via->v_branch && sip->sip_contact && sip->sip_contact->m_url->url_host
		&& sip->sip_max_forwards && sip->sip_content_length && sip_p_asserted_identity(sip);
	msg_destroy(msg);
	return there;
}
