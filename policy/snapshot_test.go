package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"

	"github.com/google/go-cmp/cmp"
)

// TestOpenEverything holds the contract's table: every demo account × every mailbox.
func TestOpenEverything(t *testing.T) {
	s := demo(t)
	yes := map[[2]mail.Address]string{
		{claire, claire}:     "own lrswitekxp as default",
		{claire, sec}:        "lrswitekxp as",
		{claire, urg}:        "lrswitekxp as",
		{noemie, noemie}:     "own lrswitekxp as",
		{noemie, sec}:        "lrswite as default notify",
		{paul, paul}:         "own lrswitekxp as default",
		{paul, sec}:          "lr no",
		{paul, urg}:          "lrswite on-behalf",
		{lea, lea}:           "own lrswitekxp as default",
		{imagerie, imagerie}: "own lrswitekxp as default",
		{sophie, sophie}:     "own lrswitekxp as default",
	}
	refused := map[mail.Address]policy.ReasonCode{
		sec: policy.ReasonOrgLogin, urg: policy.ReasonOrgLogin, marc: policy.ReasonNotActive,
	}
	for _, person := range everybody() {
		for _, mailbox := range everybody() {
			access, ok := s.Open(idOf(person), idOf(mailbox))
			if want, allowed := yes[[2]mail.Address{person, mailbox}]; allowed {
				if !ok || show(access) != want || access.Reason.Pos.IsZero() {
					t.Errorf("%s opens %s: %v, %s (%+v); want %s", person, mailbox, ok, show(access), access.Reason, want)
				}
				continue
			}
			code, listed := refused[person]
			if !listed {
				code = policy.ReasonNotDelegated
			}
			if ok || access.Rights != 0 || access.Reason.Code != code {
				t.Errorf("%s opens %s: %v, rights %s, %+v; want %s", person, mailbox, ok, access.Rights, access.Reason, code)
			}
		}
	}
}

func show(a policy.Access) string {
	words := []string{a.Rights.String(), string(a.Send)}
	if a.Own {
		words = append([]string{"own"}, words...)
	}
	if a.Default {
		words = append(words, "default")
	}
	if a.Notify {
		words = append(words, "notify")
	}
	return strings.Join(words, " ")
}

func TestMailboxesAndDefault(t *testing.T) {
	s := demo(t)
	tests := []struct {
		person mail.Address
		all    []mail.Address
		home   mail.Address
	}{
		{claire, []mail.Address{claire, sec, urg}, claire},
		{noemie, []mail.Address{noemie, sec}, sec},
		{paul, []mail.Address{paul, sec, urg}, paul},
		{imagerie, []mail.Address{imagerie}, imagerie},
		{marc, nil, ""},
		{sec, nil, ""},
	}
	for _, test := range tests {
		var all []mail.Address
		for _, access := range s.Mailboxes(idOf(test.person)) {
			all = append(all, access.Mailbox.Address)
		}
		if diff := cmp.Diff(test.all, all); diff != "" {
			t.Errorf("mailboxes of %s (-want +got):\n%s", test.person, diff)
		}
		home := s.Default(idOf(test.person))
		if got := addressOf(home.Mailbox); got != test.home {
			t.Errorf("default of %s is %q, want %q", test.person, got, test.home)
		}
	}
}

func addressOf(a *policy.Account) mail.Address {
	if a == nil {
		return ""
	}
	return a.Address
}

func TestSuspendedMailbox(t *testing.T) {
	s := changed(t, func(r *policy.Roster) { account(t, r, sec).State = policy.Suspended })
	access, ok := s.Open(idOf(noemie), idOf(sec))
	if ok || access.Reason.Code != policy.ReasonSuspended {
		t.Errorf("a suspended org is opened: %+v", access)
	}
	if home := s.Default(idOf(noemie)); home.Mailbox.Address != noemie || !home.Default {
		t.Errorf("default account suspended: opens %s", home.Mailbox.Address)
	}
	if _, ok := s.Open(idOf(noemie), idOf(noemie)); !ok {
		t.Error("the person's own mailbox went with it")
	}
}

func TestLogin(t *testing.T) {
	s := changed(t, func(r *policy.Roster) { account(t, r, lea).State = policy.Suspended })
	tests := []struct {
		who  mail.Address
		code policy.ReasonCode
		ok   bool
	}{
		{claire, policy.ReasonLogin, true},
		{"claire.durand@sapins.mssante.fr", policy.ReasonLogin, true},
		{imagerie, policy.ReasonLogin, true},
		{sec, policy.ReasonOrgLogin, false},
		{"secretariat@sapins.mssante.fr", policy.ReasonOrgLogin, false},
		{marc, policy.ReasonNotActive, false},
		{lea, policy.ReasonSuspended, false},
		{"nobody@clinique-des-sapins.fr", policy.ReasonUnknown, false},
	}
	for _, test := range tests {
		account, reason, ok := s.Login(test.who)
		if ok != test.ok || reason.Code != test.code || (account == nil) != (test.code == policy.ReasonUnknown) {
			t.Errorf("Login(%s) = %v, %+v, %v", test.who, account, reason, ok)
		}
	}
}

func TestClosedAndRemovedAccounts(t *testing.T) {
	r := demoRoster(t)
	ids := liveIdentities(r)
	for i := range ids {
		if ids[i].Address == noemie || ids[i].Address == urg {
			ids[i].State = policy.IdentityClosed
		}
	}
	ids = append(ids, policy.Identity{ID: "old", Address: "former@clinique-des-sapins.fr", State: policy.IdentityParked, Since: day0})
	s := policy.NewSnapshot(r, ids, nil)
	if _, reason, ok := s.Login(noemie); ok || reason.Code != policy.ReasonClosed || !strings.Contains(reason.Text, "account restore noemie") {
		t.Errorf("a closed account logs in: %+v", reason)
	}
	if _, ok := s.ByID(idOf(noemie)); ok {
		t.Error("a closed account is found by its former id")
	}
	if _, ok := s.Open(idOf(claire), idOf(urg)); ok {
		t.Error("a closed mailbox is opened by its delegate")
	}
	if _, access, ok := s.Resolve(policy.Login{Person: claire, Form: urg}); ok || access.Reason.Code != policy.ReasonClosed {
		t.Errorf("a closed mailbox by name: %+v", access.Reason)
	}
	if d := s.SendAs(idOf(claire), idOf(claire), urg); d.Allowed || d.Reason.Code != policy.ReasonClosed {
		t.Errorf("sending as a closed mailbox: %+v", d)
	}
	if d := s.See(idOf(claire), idOf(claire), urg); d.Allowed {
		t.Error("a closed account is shown")
	}
	if _, reason, _ := s.Login("former@clinique-des-sapins.fr"); reason.Code != policy.ReasonRemoved || !strings.Contains(reason.Text, "2026-11-02") {
		t.Errorf("a removed account: %+v", reason)
	}
}

func TestResolve(t *testing.T) {
	s := demo(t)
	const secMSS, noemieForm = "secretariat@sapins.mssante.fr", "noemie.martin@clinique-des-sapins.fr"
	tests := []struct {
		user, authzid string
		opens         mail.Address // empty: refused
		code          policy.ReasonCode
	}{
		{noemieForm, "", sec, policy.ReasonDelegated},
		{"Noemie.Martin@Clinique-des-Sapins.FR", "", sec, policy.ReasonDelegated},
		{noemieForm, noemieForm, sec, policy.ReasonDelegated}, // the person as authzid is no choice
		{noemieForm, string(sec), sec, policy.ReasonDelegated},
		{noemieForm, secMSS, sec, policy.ReasonDelegated},
		{secMSS + "*" + noemieForm, "", sec, policy.ReasonDelegated},
		{noemieForm + "/SECRETARIAT@sapins.mssante.fr", "", sec, policy.ReasonDelegated},
		{noemieForm + "*" + noemieForm, "", noemie, policy.ReasonOwn},
		{noemieForm + "/" + noemieForm, "", noemie, policy.ReasonOwn},
		{string(sec) + "*" + noemieForm, secMSS, sec, policy.ReasonDelegated}, // one mailbox, both its names
		{string(sec) + "*" + noemieForm, noemieForm, sec, policy.ReasonDelegated},
		{string(sec) + "*claire.durand@sapins.mssante.fr", string(urg), "", policy.ReasonDisagree},
		{"claire.durand@sapins.mssante.fr", "", claire, policy.ReasonOwn},
		{"claire.durand@sapins.mssante.fr", "claire.durand@clinique-des-sapins.fr", claire, policy.ReasonOwn},
		{noemieForm, string(urg), "", policy.ReasonNotDelegated},
		{string(urg) + "*" + noemieForm, "", "", policy.ReasonNotDelegated},
		{noemieForm + "/nobody@x.fr", "", "", policy.ReasonUnknown},
		{string(sec), "", "", policy.ReasonOrgLogin},
		{string(sec) + "*" + string(sec), "", "", policy.ReasonOrgLogin},
		{"nobody@x.fr", string(sec), "", policy.ReasonUnknown},
		{string(marc), "", "", policy.ReasonNotActive},
	}
	for _, test := range tests {
		login, err := policy.ParseLogin(test.user, test.authzid)
		if err != nil {
			t.Errorf("ParseLogin(%s, %s): %v", test.user, test.authzid, err)
			continue
		}
		_, access, ok := s.Resolve(login)
		if ok != (test.opens != "") || access.Reason.Code != test.code || (ok && access.Mailbox.Address != test.opens) {
			t.Errorf("%s with authzid %q: %v, %s, %+v", test.user, test.authzid, ok, addressOf(access.Mailbox), access.Reason)
		}
	}
}

func TestParseLoginRefuses(t *testing.T) {
	for _, test := range [][2]string{
		{"", ""},
		{"noemie", ""},
		{"a@b.fr*c@d.fr*e@f.fr", ""},
		{"a@b.fr*c@d.fr/e@f.fr", ""},
		{"*a@b.fr", ""},
		{"a@b.fr*", ""},
		{"a@b.fr/", ""},
		{"a@b.fr", "x"},
		{"a@b.fr\x00", ""},
		{"a b@b.fr", ""},
		{strings.Repeat("a", 600) + "@b.fr", ""},
		{"a@b.fr", strings.Repeat("a", 600)},
	} {
		if login, err := policy.ParseLogin(test[0], test[1]); err == nil {
			t.Errorf("ParseLogin(%q, %q) = %+v", test[0], test[1], login)
		}
	}
}

func TestLost(t *testing.T) {
	tests := []struct {
		name string
		edit func(*policy.Roster)
		want []string // person mailbox gone
	}{
		{"nothing", func(*policy.Roster) {}, nil},
		{"more rights", func(r *policy.Roster) { setRights(r, noemie, sec, policy.PresetManage) }, nil},
		{"fewer rights", func(r *policy.Roster) { setRights(r, noemie, sec, policy.PresetRead) }, []string{"noemie.martin secretariat fewer not_gone"}},
		{"delegation withdrawn", func(r *policy.Roster) {
			withoutGrants(r, func(d policy.Delegation) bool { return d.Account == paul && d.Mailbox == urg })
		}, []string{"paul.bernard urgences gone"}},
		{"person removed", func(r *policy.Roster) { withoutAccount(r, noemie) }, []string{"noemie.martin noemie.martin gone", "noemie.martin secretariat gone"}},
		{"person suspended", func(r *policy.Roster) { account(t, r, lea).State = policy.Suspended }, []string{"lea.petit lea.petit gone"}},
		{"mailbox suspended", func(r *policy.Roster) { account(t, r, urg).State = policy.Suspended }, []string{"claire.durand urgences gone", "paul.bernard urgences gone"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, loss := range policy.Lost(demo(t), changed(t, test.edit)) {
				state := "gone"
				if !loss.Gone {
					state = "fewer not_gone"
				}
				got = append(got, strings.ReplaceAll(fmt.Sprintf("%s %s %s", loss.Person, loss.Mailbox, state), "id-", ""))
				if loss.Reason.Code == "" {
					t.Errorf("%+v has no reason", loss)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
		})
	}
}

func setRights(r *policy.Roster, person, mailbox mail.Address, rights policy.Right) {
	for i, d := range r.Delegations {
		if d.Account == person && d.Mailbox == mailbox {
			r.Delegations[i].Rights = rights
		}
	}
}

func TestChoices(t *testing.T) {
	r := demoRoster(t)
	ids := liveIdentities(r)
	file := policy.NewSnapshot(r, ids, nil)
	own, ok := file.ChooseDefault(idOf(noemie), idOf(noemie))
	if !ok {
		t.Fatal("noemie may not choose her own mailbox")
	}
	quiet, ok := file.ChooseNotify(idOf(noemie), idOf(sec), false)
	if !ok {
		t.Fatal("noemie may not choose silence")
	}
	toUrg, ok := file.ChooseDefault(idOf(paul), idOf(urg))
	if !ok {
		t.Fatal("paul may not choose urgences")
	}
	if _, ok := file.ChooseDefault(idOf(noemie), idOf(urg)); ok {
		t.Error("noemie chose a mailbox she may not open")
	}
	if _, ok := file.ChooseNotify(idOf(lea), idOf(sec), true); ok {
		t.Error("lea chose to be told of a mailbox she may not open")
	}
	choices := []policy.Choice{own, quiet, toUrg}
	s := policy.NewSnapshot(r, ids, choices)
	if got := s.Default(idOf(noemie)).Mailbox.Address; got != noemie {
		t.Errorf("noemie's choice opens %s", got)
	}
	if got := s.Default(idOf(paul)).Mailbox.Address; got != urg {
		t.Errorf("paul's choice opens %s", got)
	}
	if access, _ := s.Open(idOf(noemie), idOf(sec)); access.Notify || access.Default {
		t.Errorf("noemie's choices are not laid over: %s", show(access))
	}
	if lapsed := s.Lapsed(); lapsed != nil {
		t.Errorf("lapsed: %+v", lapsed)
	}
	// The files change: the default moves away from noemie's file value, paul's delegation goes, notify is turned off.
	for i, d := range r.Delegations {
		if d.Account == noemie {
			r.Delegations[i].Default, r.Delegations[i].Notify = false, false
		}
	}
	withoutGrants(r, func(d policy.Delegation) bool { return d.Account == paul && d.Mailbox == urg })
	s = policy.NewSnapshot(r, ids, choices)
	if diff := cmp.Diff(choices, s.Lapsed()); diff != "" {
		t.Errorf("lapsed (-want +got):\n%s", diff)
	}
	if got := s.Default(idOf(paul)).Mailbox.Address; got != paul {
		t.Errorf("paul's default is %s after the delegation went", got)
	}
	// noemie leaves: what she chose waits with her account.
	r.Accounts = slices.DeleteFunc(r.Accounts, func(a *policy.Account) bool { return a.Address == noemie })
	withoutGrants(r, func(d policy.Delegation) bool { return d.Account == noemie })
	if diff := cmp.Diff([]policy.Choice{toUrg}, policy.NewSnapshot(r, ids, choices).Lapsed()); diff != "" {
		t.Errorf("lapsed without noemie (-want +got):\n%s", diff)
	}
}

func TestExplain(t *testing.T) {
	s := demo(t)
	var b strings.Builder
	e := s.Explain(policy.Question{Person: paul, Mailbox: urg, SendFrom: urg, See: noemie})
	if err := e.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `may paul.bernard@clinique-des-sapins.fr log in? yes: paul.bernard@clinique-des-sapins.fr is active (demo/accounts.yaml:22:5)
may they open urgences@clinique-des-sapins.fr? yes: urgences@clinique-des-sapins.fr is delegated to paul.bernard@clinique-des-sapins.fr: write, send on-behalf (demo/delegations.yaml:11:9)
    rights lrswite, send on-behalf
may they send from urgences@clinique-des-sapins.fr? yes: urgences@clinique-des-sapins.fr is delegated to paul.bernard@clinique-des-sapins.fr: write, send on-behalf (demo/delegations.yaml:11:9)
    From: Urgences - Clinique des Sapins <urgences@clinique-des-sapins.fr>
    Sender: paul.bernard@sapins.mssante.fr
    to accounts of this platform only: urgences@clinique-des-sapins.fr has no MSSanté address (demo/accounts.yaml:60:5)
may they see noemie.martin@clinique-des-sapins.fr, having opened urgences@clinique-des-sapins.fr? no: noemie.martin@clinique-des-sapins.fr is on the red list (demo/accounts.yaml:14:5)
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if e.Allowed() {
		t.Error("one answer is no, yet all are allowed")
	}
	if e := s.Explain(policy.Question{Person: noemie}); !e.Allowed() || len(e.Answers) != 3 {
		t.Errorf("noemie's overview: %+v", e)
	}
	if e := s.Explain(policy.Question{Person: sec, Mailbox: sec}); e.Allowed() || len(e.Answers) != 1 {
		t.Errorf("an org's explanation: %+v", e)
	}
	if e := s.Explain(policy.Question{Person: noemie, Mailbox: urg}); e.Allowed() || e.Answers[1].Reason.Pos.File != "demo/accounts.yaml" {
		t.Errorf("a mailbox not delegated: %+v", e)
	}
}

func TestReasonString(t *testing.T) {
	r := policy.Reason{Text: "so", Pos: configs.Pos{File: "f", Line: 1, Column: 2}}
	if r.String() != "so (f:1:2)" || (policy.Reason{Text: "so"}).String() != "so" {
		t.Errorf("%s", r)
	}
}

// TestRedListWish: a person may add themselves to the red list and take that back; what the files say holds whatever they wish.
func TestRedListWish(t *testing.T) {
	r := demoRoster(t)
	ids := liveIdentities(r)
	file := policy.NewSnapshot(r, ids, nil)
	wish := func(who mail.Address, on bool) policy.Choice {
		t.Helper()
		c, ok := file.ChooseRedList(idOf(who), on)
		if !ok {
			t.Fatalf("%s may not choose", who)
		}
		return c
	}
	for _, no := range []mail.Address{sec, imagerie} {
		if _, ok := file.ChooseRedList(idOf(no), true); ok {
			t.Errorf("%s chose", no)
		}
	}
	for _, tt := range []struct {
		who            mail.Address
		on             bool
		listed, wished bool
		lapses         int
	}{
		{claire, true, true, true, 0},
		{claire, false, false, false, 1},
		{lea, true, true, false, 0},
		{lea, false, true, false, 1},
	} {
		s := policy.NewSnapshot(r, ids, []policy.Choice{wish(tt.who, tt.on)})
		a, _ := s.Account(tt.who)
		if a.RedList != tt.listed || a.RedListWish != tt.wished || len(s.Lapsed()) != tt.lapses {
			t.Errorf("%s wishes %v: listed %v, by wish %v, lapsed %v", tt.who, tt.on, a.RedList, a.RedListWish, s.Lapsed())
		}
		if sees := s.See(idOf(paul), idOf(paul), tt.who); sees.Allowed == tt.listed {
			t.Errorf("%s wishes %v: Paul sees: %+v", tt.who, tt.on, sees)
		}
	}
	org := policy.Choice{Kind: policy.ChoiceRedList, Person: idOf(sec), Mailbox: idOf(sec), On: true}
	if a, _ := policy.NewSnapshot(r, ids, []policy.Choice{org}).Account(sec); a.RedList {
		t.Error("a service is on the red list by a choice that is no person's")
	}
	if a, _ := policy.NewSnapshot(r, ids, nil).Account(claire); a.RedList {
		t.Error("a wish has changed the roster")
	}
}
