package policy_test

import (
	"testing"

	"balorg/mail"
	"balorg/policy"

	"github.com/google/go-cmp/cmp"
)

func TestRights(t *testing.T) {
	tests := []struct {
		right            policy.Right
		letters, virtual string
		preset           string
	}{
		{policy.PresetRead, "lr", "lr", "read"},
		{policy.PresetWrite, "lrswite", "lrswited", "write"},
		{policy.PresetManage, "lrswitekxp", "lrswitekxpcd", "manage"},
		{policy.Create, "k", "kc", "k"},
		{0, "", "", ""},
	}
	for _, test := range tests {
		if test.right.String() != test.letters || test.right.Virtual() != test.virtual || test.right.Preset() != test.preset {
			t.Errorf("%s: virtual %s, preset %s", test.right, test.right.Virtual(), test.right.Preset())
		}
		for _, letters := range []string{test.letters, test.virtual} {
			if back, err := policy.ParseRights(letters); err != nil || (back != test.right && test.right != policy.Create) {
				t.Errorf("ParseRights(%s) = %s, %v", letters, back, err)
			}
		}
	}
	if r, err := policy.ParseRights("lz"); err == nil {
		t.Errorf("ParseRights(lz) = %s", r)
	}
	if r, err := policy.ParseRights("cd"); err != nil || r != policy.Create|policy.DeleteMailbox|policy.Expunge|policy.DeleteMsgs {
		t.Errorf("ParseRights(cd) = %s, %v", r, err)
	}
}

// TestNeeds holds every preset × every IMAP command that names or uses a mailbox.
func TestNeeds(t *testing.T) {
	const r, w, m = "read", "write", "manage"
	tests := map[string][]string{ // the presets that may
		"LIST": {r, w, m}, "LSUB": {r, w, m}, "SUBSCRIBE": {r, w, m}, "MYRIGHTS": {r, w, m}, "GETACL": {r, w, m}, "LISTRIGHTS": {r, w, m},
		"SELECT": {r, w, m}, "EXAMINE": {r, w, m}, "STATUS": {r, w, m}, "FETCH": {r, w, m}, "UID FETCH": {r, w, m}, "uid search": {r, w, m},
		"COPY": {r, w, m}, "GETQUOTAROOT": {r, w, m}, "STORE": {r, w, m},
		"APPEND": {w, m}, "EXPUNGE": {w, m}, "UID EXPUNGE": {w, m}, "MOVE": {w, m}, "UID MOVE": {w, m}, "REPLACE": {w, m}, "UID REPLACE": {w, m},
		"CREATE": {m}, "DELETE": {m}, "RENAME": {m},
		"SETACL": nil, "DELETEACL": nil, "SETQUOTA": nil,
	}
	presets := map[string]policy.Right{r: policy.PresetRead, w: policy.PresetWrite, m: policy.PresetManage}
	may := func(need policy.Right) []string {
		var names []string
		for _, name := range []string{r, w, m} {
			if presets[name].Has(need) {
				names = append(names, name)
			}
		}
		return names
	}
	for command, want := range tests {
		need, ok := policy.Needs(command)
		if diff := cmp.Diff(want, may(need)); diff != "" || !ok {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
	for _, free := range []string{"NOOP", "IDLE", "LOGOUT", "UNSUBSCRIBE", "CLOSE", "UNSELECT", "NAMESPACE", "CHECK", "X"} {
		if need, ok := policy.Needs(free); ok {
			t.Errorf("%s needs %s", free, need)
		}
	}
	for command, want := range map[string][]string{"COPY": {w, m}, "UID MOVE": {w, m}, "RENAME": {m}} {
		need, ok := policy.NeedsIntoDestination(command)
		if diff := cmp.Diff(want, may(need)); diff != "" || !ok {
			t.Errorf("into the destination of %s (-want +got):\n%s", command, diff)
		}
	}
	if need, ok := policy.NeedsIntoDestination("APPEND"); ok {
		t.Errorf("APPEND has a destination that needs %s", need)
	}
	for flag, want := range map[string]policy.Right{
		`\Seen`: policy.Seen, `\SEEN`: policy.Seen, `\Deleted`: policy.DeleteMsgs, `\Flagged`: policy.Write, `$Forwarded`: policy.Write, "seen": policy.Write,
	} {
		if got := policy.FlagRight(flag); got != want {
			t.Errorf("FlagRight(%s) = %s, want %s", flag, got, want)
		}
	}
}

func TestSendAs(t *testing.T) {
	plain := demo(t)
	viaDefault := changed(t, func(r *policy.Roster) { account(t, r, noemie).Sender = policy.SenderDefault })
	hidden := changed(t, func(r *policy.Roster) { account(t, r, paul).RedList = true })
	local := changed(t, func(r *policy.Roster) {
		account(t, r, paul).MSSante = ""
		account(t, r, urg).MSSante = "urgences@sapins.mssante.fr"
	})
	type decision struct {
		Identity, From, Sender mail.Address
		Name                   string
		Off                    bool
	}
	const (
		mss     = "@sapins.mssante.fr"
		secName = "Secrétariat - Clinique des Sapins"
		urgName = "Urgences - Clinique des Sapins"
	)
	tests := []struct {
		name            string
		s               *policy.Snapshot
		person, mailbox mail.Address
		from            mail.Address
		want            decision
		code            policy.ReasonCode // of a refusal
	}{
		{"own", plain, claire, claire, claire, decision{claire, "claire.durand" + mss, "", "Dr Claire Durand", true}, ""},
		{"own, by the MSSanté address", plain, claire, claire, "claire.durand" + mss, decision{claire, "claire.durand" + mss, "", "Dr Claire Durand", true}, ""},
		{"the mailbox opened", plain, noemie, sec, sec, decision{sec, "secretariat" + mss, "", secName, true}, ""},
		{"no From: the mailbox opened", plain, noemie, sec, "", decision{sec, "secretariat" + mss, "", secName, true}, ""},
		{"From decides over the mailbox opened", plain, claire, sec, urg, decision{urg, urg, "", urgName, false}, ""},
		{"From one's own in a shared mailbox", plain, noemie, sec, noemie, decision{noemie, noemie, "", "Mme Noémie Martin", false}, ""},
		{"sender: default", viaDefault, noemie, noemie, noemie, decision{sec, "secretariat" + mss, "", secName, true}, ""},
		{"on behalf", plain, paul, paul, urg, decision{urg, urg, "paul.bernard" + mss, urgName, false}, ""},
		{"on behalf, off the platform only with both addresses", local, paul, urg, urg, decision{urg, "urgences" + mss, paul, urgName, false}, ""},
		{"on behalf from the red list", hidden, paul, urg, urg, decision{Identity: urg}, policy.ReasonRedList},
		{"delegation without sending", plain, paul, sec, sec, decision{Identity: sec}, policy.ReasonNoSend},
		{"not delegated", plain, lea, lea, sec, decision{Identity: sec}, policy.ReasonNotDelegated},
		{"somebody else", plain, claire, claire, noemie, decision{Identity: noemie}, policy.ReasonNotDelegated},
		{"unknown From", plain, claire, claire, "x@example.net", decision{}, policy.ReasonUnknown},
		{"software", plain, imagerie, imagerie, imagerie, decision{imagerie, "imagerie-auto" + mss, "", "Imagerie automatique - Clinique des Sapins", true}, ""},
		{"an org by itself", plain, sec, sec, sec, decision{Identity: sec}, policy.ReasonOrgLogin},
		{"unknown person", plain, "x@y.fr", sec, sec, decision{}, policy.ReasonUnknown},
		{"unknown mailbox", plain, claire, "x@y.fr", "", decision{}, policy.ReasonUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := test.s.SendAs(idOf(test.person), idOf(test.mailbox), test.from)
			got := decision{addressOf(d.Mailbox), d.From, d.Sender, d.Name, d.OffPlatform}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if d.Allowed != (test.code == "") || (!d.Allowed && d.Reason.Code != test.code) || d.Reason.Text == "" {
				t.Errorf("allowed %v, %+v", d.Allowed, d.Reason)
			}
			if d.Allowed && !d.OffPlatform && d.OffReason.Code != policy.ReasonNoMSSante {
				t.Errorf("kept on the platform without reason: %+v", d.OffReason)
			}
		})
	}
}

// TestSeeEverything holds every viewer × every local entry, from the mailbox each opens by default.
func TestSeeEverything(t *testing.T) {
	s := demo(t)
	hidden := map[mail.Address]bool{noemie: true, lea: true}
	for _, viewer := range everybody() {
		home := s.Default(idOf(viewer))
		if home.Mailbox == nil {
			if d := s.See(idOf(viewer), idOf(viewer), claire); d.Allowed {
				t.Errorf("%s, who may not log in, sees claire", viewer)
			}
			continue
		}
		for _, entry := range everybody() {
			want := entry != marc && (!hidden[entry] || entry == viewer || viewer == sophie)
			if d := s.See(idOf(viewer), home.Mailbox.ID, entry); d.Allowed != want || d.Reason.Text == "" {
				t.Errorf("%s sees %s: %v, %+v", viewer, entry, d.Allowed, d.Reason)
			}
		}
	}
}

func TestSeeNational(t *testing.T) {
	s := demo(t)
	const far = mail.Address("dr.loin@autre.mssante.fr")
	for _, test := range []struct {
		viewer, opened mail.Address
		want           bool
	}{
		{claire, claire, true},
		{claire, urg, false}, // no MSSanté address
		{noemie, sec, true},
		{noemie, noemie, false},
		{noemie, urg, false}, // not delegated
	} {
		if d := s.See(idOf(test.viewer), idOf(test.opened), far); d.Allowed != test.want {
			t.Errorf("%s in %s sees the national directory: %+v", test.viewer, test.opened, d)
		}
	}
}

func TestSeeRedListedMailbox(t *testing.T) {
	s := changed(t, func(r *policy.Roster) { account(t, r, sec).RedList = true })
	for _, test := range []struct {
		viewer, opened mail.Address
		want           bool
	}{
		{noemie, sec, true}, // the mailbox itself looks
		{noemie, noemie, false},
		{lea, lea, false},
		{sophie, sophie, true},
	} {
		if d := s.See(idOf(test.viewer), idOf(test.opened), "secretariat@sapins.mssante.fr"); d.Allowed != test.want {
			t.Errorf("%s in %s sees a red-listed mailbox: %+v", test.viewer, test.opened, d)
		}
	}
}
