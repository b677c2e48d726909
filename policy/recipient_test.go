package policy_test

import (
	"testing"

	"balorg/mail"
	"balorg/policy"

	"github.com/google/go-cmp/cmp"
)

func trusted(domain string) bool { return domain == "chu-exemple.mssante.fr" }

// TestRecipient holds senders who reach all, the platform alone, and one on behalf, × every kind of recipient.
func TestRecipient(t *testing.T) {
	plain := demo(t)
	closed := changed(t, func(r *policy.Roster) { account(t, r, lea).State = policy.Suspended })
	type decision struct {
		Local mail.Address
		Code  policy.ReasonCode
	}
	tests := []struct {
		name         string
		s            *policy.Snapshot
		person, from mail.Address
		to           mail.Address
		want         decision
	}{
		{"here, by identifier", plain, noemie, sec, claire, decision{claire, policy.ReasonLocal}},
		{"here, by MSSanté address", plain, noemie, sec, "claire.durand@sapins.mssante.fr", decision{claire, policy.ReasonLocal}},
		{"here, red-listed: receives all the same", plain, noemie, sec, lea, decision{lea, policy.ReasonLocal}},
		{"here, pre-registered", plain, noemie, sec, marc, decision{marc, policy.ReasonLocal}},
		{"here, suspended", closed, noemie, sec, lea, decision{lea, policy.ReasonLocal}},
		{"here, an org without MSSanté address", plain, claire, urg, urg, decision{urg, policy.ReasonLocal}},
		{"nobody here", plain, noemie, sec, "x@clinique-des-sapins.fr", decision{"", policy.ReasonUnknown}},
		{"nobody here, MSSanté domain", plain, noemie, sec, "x@sapins.mssante.fr", decision{"", policy.ReasonUnknown}},
		{"in the trust space", plain, noemie, sec, "a@chu-exemple.mssante.fr", decision{"", policy.ReasonTrusted}},
		{"below a trusted domain", plain, noemie, sec, "a@x.chu-exemple.mssante.fr", decision{"", policy.ReasonUntrusted}},
		{"outside", plain, noemie, sec, "a@example.net", decision{"", policy.ReasonUntrusted}},
		{"trusted, from one without MSSanté address", plain, claire, urg, "a@chu-exemple.mssante.fr", decision{"", policy.ReasonNoMSSante}},
		{"outside, from one without MSSanté address", plain, claire, urg, "a@example.net", decision{"", policy.ReasonUntrusted}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			send := test.s.SendAs(idOf(test.person), idOf(test.person), test.from)
			if !send.Allowed {
				t.Fatalf("may not send: %v", send.Reason)
			}
			d := test.s.Recipient(send, test.to, trusted)
			if diff := cmp.Diff(test.want, decision{addressOf(d.Local), d.Reason.Code}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			yes := test.want.Code == policy.ReasonLocal || test.want.Code == policy.ReasonTrusted
			if d.Allowed != yes || d.Reason.Text == "" {
				t.Errorf("allowed %t: %v", d.Allowed, d.Reason)
			}
		})
	}
}

func TestInboundSender(t *testing.T) {
	s := demo(t)
	for from, want := range map[mail.Address]policy.ReasonCode{
		"":                         policy.ReasonTrusted,
		"a@chu-exemple.mssante.fr": policy.ReasonTrusted,
		"a@example.net":            policy.ReasonUntrusted,
		claire:                     policy.ReasonLocalSender,
		"nobody@sapins.mssante.fr": policy.ReasonLocalSender,
	} {
		reason, ok := s.InboundSender(from, trusted)
		if reason.Code != want || ok != (want == policy.ReasonTrusted) {
			t.Errorf("from %q: %t, %v; want %s", from, ok, reason, want)
		}
	}
}

func TestNotified(t *testing.T) {
	told := func(s *policy.Snapshot, mailbox mail.Address) []mail.Address {
		var all []mail.Address
		for _, n := range s.Notified(idOf(mailbox)) {
			all = append(all, n.At)
		}
		return all
	}
	s := demo(t)
	for mailbox, want := range map[mail.Address][]mail.Address{
		sec: {"noemie.martin@example.net"}, urg: nil, claire: {"claire.durand@example.net"}, marc: nil,
	} {
		if diff := cmp.Diff(want, told(s, mailbox)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mailbox, diff)
		}
	}
	var announced []mail.Address
	for _, a := range s.Announced() {
		announced = append(announced, a.Address)
	}
	if diff := cmp.Diff([]mail.Address{claire, noemie, sec}, announced); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	left := changed(t, func(r *policy.Roster) { account(t, r, noemie).State = policy.Suspended })
	if got := told(left, sec); got != nil {
		t.Errorf("told though suspended: %v", got)
	}
}
