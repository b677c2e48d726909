package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/policy"
)

func TestParseScopes(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  []policy.Scope
		ok    bool
	}{
		{nil, []policy.Scope{"imap", "smtp", "ldap"}, true},
		{[]string{"smtp", "imap", "smtp"}, []policy.Scope{"imap", "smtp"}, true},
		{[]string{"portal"}, nil, false},
		{[]string{""}, nil, false},
		{[]string{"SMTP"}, nil, false},
	} {
		got, err := policy.ParseScopes(tt.names)
		if (err == nil) != tt.ok || !cmp.Equal(got, tt.want) {
			t.Errorf("%q: %v, %v", tt.names, got, err)
		}
	}
}

// TestResolveToken holds what a device token opens by each form of user name.
func TestResolveToken(t *testing.T) {
	snap := demo(t)
	all, smtp := policy.Scopes(), []policy.Scope{policy.ScopeSMTP}
	for _, tt := range []struct {
		name          string
		owner         mail.Address
		scopes        []policy.Scope
		mailbox       mail.Address // of the token
		user, authzid string
		protocol      policy.Scope
		opens         mail.Address
		code          policy.ReasonCode
	}{
		{"as with the password", noemie, all, "", string(noemie), "", policy.ScopeIMAP, sec, policy.ReasonDelegated},
		{"as with the password, her own", noemie, all, "", string(noemie) + "/" + string(noemie), "", policy.ScopeIMAP, noemie, policy.ReasonOwn},
		{"an app's own", imagerie, all, "", string(imagerie), "", policy.ScopeSMTP, imagerie, policy.ReasonOwn},
		{"an app's, bound to itself", imagerie, all, imagerie, string(imagerie), "", policy.ScopeSMTP, imagerie, policy.ReasonOwn},
		{"bound, nothing named", claire, smtp, sec, string(claire), "", policy.ScopeSMTP, sec, policy.ReasonDelegated},
		{"bound, herself as authorization identity", claire, smtp, sec, string(claire), "claire.durand@sapins.mssante.fr", policy.ScopeSMTP, sec, policy.ReasonDelegated},
		{"bound, that one named", claire, smtp, sec, string(sec) + "*" + string(claire), "", policy.ScopeSMTP, sec, policy.ReasonDelegated},
		{"bound, by its other address", claire, smtp, sec, string(claire), "secretariat@sapins.mssante.fr", policy.ScopeSMTP, sec, policy.ReasonDelegated},
		{"bound, another named", claire, smtp, sec, string(claire) + "/" + string(urg), "", policy.ScopeSMTP, "", policy.ReasonTokenMailbox},
		{"bound, her own named", claire, smtp, sec, string(claire) + "/" + string(claire), "", policy.ScopeSMTP, "", policy.ReasonTokenMailbox},
		{"bound, names that disagree", claire, smtp, sec, string(sec) + "*" + string(claire), string(urg), policy.ScopeSMTP, "", policy.ReasonDisagree},
		{"bound to what is not delegated any more", noemie, smtp, urg, string(noemie), "", policy.ScopeSMTP, "", policy.ReasonNotDelegated},
		{"bound to what is gone", noemie, smtp, "gone@example.net", string(noemie), "", policy.ScopeSMTP, "", policy.ReasonUnknown},
		{"not for the protocol", claire, smtp, "", string(claire), "", policy.ScopeIMAP, "", policy.ReasonTokenScope},
		{"for no protocol", claire, nil, "", string(claire), "", policy.ScopeIMAP, "", policy.ReasonTokenScope},
		{"the portal", claire, all, "", string(claire), "", "portal", "", policy.ReasonTokenScope},
		{"somebody else's", claire, all, "", string(noemie), "", policy.ScopeIMAP, "", policy.ReasonWrongSecret},
		{"an organisation's name", claire, all, sec, string(sec), "", policy.ScopeIMAP, "", policy.ReasonOrgLogin},
		{"pre-registered", marc, all, "", string(marc), "", policy.ScopeIMAP, "", policy.ReasonNotActive},
		{"no account", claire, all, "", "nobody@example.net", "", policy.ScopeIMAP, "", policy.ReasonUnknown},
	} {
		login, err := policy.ParseLogin(tt.user, tt.authzid)
		if err != nil {
			t.Fatal(err)
		}
		token := policy.Token{ID: "t", Account: idOf(tt.owner), Name: "scanner", Scopes: tt.scopes}
		if tt.mailbox != "" {
			token.Mailbox = idOf(tt.mailbox)
		}
		_, access, ok := snap.ResolveToken(token, login, tt.protocol)
		if ok != (tt.opens != "") || access.Reason.Code != tt.code || (ok && access.Mailbox.Address != tt.opens) {
			t.Errorf("%s: %v, %+v", tt.name, ok, access)
		}
	}
}

func TestExpired(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for _, tt := range []struct {
		used time.Duration // after it was made; 0: never
		at   time.Duration
		want bool
	}{
		{0, month, false}, {0, month + 1, true}, {month, month + 1, false}, {month, 2*month + 1, true},
	} {
		token := policy.Token{Created: day0}
		if tt.used > 0 {
			token.LastUsed = day0.Add(tt.used)
		}
		if got := token.Expired(day0.Add(tt.at), month); got != tt.want {
			t.Errorf("used after %v, at %v: %v", tt.used, tt.at, got)
		}
	}
}

func TestForToken(t *testing.T) {
	snap := demo(t)
	for _, tt := range []struct {
		person, mailbox mail.Address
		code            policy.ReasonCode
		ok              bool
	}{
		{claire, "", policy.ReasonLogin, true},
		{"claire.durand@sapins.mssante.fr", "secretariat@sapins.mssante.fr", policy.ReasonDelegated, true},
		{imagerie, "", policy.ReasonLogin, true},
		{imagerie, sec, policy.ReasonNotDelegated, false},
		{lea, sec, policy.ReasonNotDelegated, false},
		{claire, "nobody@example.net", policy.ReasonUnknown, false},
		{sec, "", policy.ReasonOrgLogin, false},
		{marc, "", policy.ReasonNotActive, false},
		{"nobody@example.net", "", policy.ReasonUnknown, false},
	} {
		owner, opens, d := snap.ForToken(tt.person, tt.mailbox)
		if d.Allowed != tt.ok || d.Reason.Code != tt.code || (tt.ok && (owner == nil || (opens == nil) != (tt.mailbox == ""))) {
			t.Errorf("%s, %s: %+v", tt.person, tt.mailbox, d)
		}
	}
}

// TestBound: a session that is bound to a mailbox knows no other, not even its person's own, nor writes as another.
func TestBound(t *testing.T) {
	snap := changed(t, func(r *policy.Roster) { account(t, r, noemie).Sender = policy.SenderDefault })
	for _, tt := range []struct {
		person, only mail.Address
		opens        []mail.Address
		sendsAs      []mail.Address // of all addresses
	}{
		{claire, "", []mail.Address{claire, sec, urg}, []mail.Address{claire, sec, urg}},
		{claire, sec, []mail.Address{sec}, []mail.Address{sec}},
		{claire, claire, []mail.Address{claire}, []mail.Address{claire}},
		// What Noémie writes under her own address goes out as the secretariat.
		{noemie, sec, []mail.Address{sec}, []mail.Address{noemie, sec}},
		{noemie, noemie, []mail.Address{noemie}, nil},
		{noemie, urg, nil, nil},
	} {
		var only mail.AccountID
		if tt.only != "" {
			only = idOf(tt.only)
		}
		bound := snap.Bound(only)
		var opens, listed, sends []mail.Address
		for _, a := range everybody() {
			if access, ok := bound.Open(idOf(tt.person), idOf(a)); ok {
				opens = append(opens, access.Mailbox.Address)
			}
			if d := bound.SendAs(idOf(tt.person), idOf(tt.person), a); d.Allowed {
				sends = append(sends, a)
			}
		}
		for _, access := range bound.Mailboxes(idOf(tt.person)) {
			listed = append(listed, access.Mailbox.Address)
		}
		if diff := cmp.Diff(tt.opens, opens); diff != "" {
			t.Errorf("%s bound to %q opens %s", tt.person, tt.only, diff)
		}
		if diff := cmp.Diff(tt.opens, listed); diff != "" {
			t.Errorf("%s bound to %q lists %s", tt.person, tt.only, diff)
		}
		if diff := cmp.Diff(tt.sendsAs, sends); diff != "" {
			t.Errorf("%s bound to %q sends as %s", tt.person, tt.only, diff)
		}
	}
}
