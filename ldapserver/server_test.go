package ldapserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver"
	"balorg/ldapserver/ber"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
	"balorg/ldapserver/ldaptest"
	"balorg/ldapserver/wire"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/policy/session"
	"balorg/store/audit"
	"balorg/store/storetest"
)

const suffix = "dc=mssante,dc=fr"

// fixture is a server on loopback, with the demo's accounts.
type fixture struct {
	t         *testing.T
	directory *directory.Directory
	importer  *directory.Importer
	sessions  session.Table
	address   string

	mu    sync.Mutex
	trace []audit.Record
	fails error // what Authenticate answers in any case
}

// Authenticate implements ldapserver.Authenticator: everybody's password is demo- and their local part.
func (*fixture) Mechanisms() []string {
	return []string{auth.MechanismPlain, auth.MechanismLogin}
}

func (f *fixture) Authenticate(_ context.Context, req auth.Request) (auth.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return auth.Result{}, f.fails
	}
	login, err := policy.ParseLogin(req.User, req.Authzid)
	if err != nil {
		return auth.Result{}, &auth.Refusal{User: req.User}
	}
	person, access, ok := f.directory.View().Snapshot.Resolve(login)
	if !ok || req.Password.Reveal() != "demo-"+person.Address.Local() {
		return auth.Result{}, &auth.Refusal{Person: person, User: req.User}
	}
	return auth.Result{Person: person, Mailbox: access.Mailbox, Access: access}, nil
}

// Append implements ldapserver.Trace.
func (f *fixture) Append(_ context.Context, r audit.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = append(f.trace, r)
	return nil
}

func start(t *testing.T, change func(*ldapserver.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, directory: directory.New(nil)}
	if err := f.directory.SetAccounts(ldaptest.Snapshot(t)); err != nil {
		t.Fatal(err)
	}
	st := storetest.New(t)
	table := directory.NewTable(st)
	storetest.CheckAtEnd(t, st, table)
	f.importer = directory.NewImporter(f.directory, table, t.TempDir(), slog.New(slog.DiscardHandler))
	opt := ldapserver.Options{
		Directory: f.directory, Auth: f, Trace: f, Sessions: &f.sessions, InsecureBind: true, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&opt)
	}
	server, err := ldapserver.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { server.Serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		serving.Wait()
	})
	return f
}

// national imports generated rows and some of the test's own.
func (f *fixture) national(rows int, extra ...map[extraction.Column]string) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), extraction.FileName(time.Now()))
	file, err := os.Create(path)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := errors.Join(sample.Write(file, sample.Options{Rows: rows, Seed: 7, Extra: extra}), file.Close()); err != nil {
		f.t.Fatal(err)
	}
	if _, _, err := f.importer.Import(f.t.Context(), path, directory.Options{Force: true}); err != nil {
		f.t.Fatal(err)
	}
}

// dial connects; closed with the test.
func (f *fixture) dial() *ldap.Conn {
	f.t.Helper()
	c, err := ldap.DialURL("ldap://" + f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// as logs somebody in, by any form of a log-in.
func (f *fixture) as(login string) *ldap.Conn {
	f.t.Helper()
	c := f.dial()
	person := login[strings.LastIndexAny(login, "*")+1:]
	local, _, _ := strings.Cut(person, "@")
	if !strings.Contains(person, "@") {
		login += "@clinique-des-sapins.fr"
	}
	if err := c.Bind(login, "demo-"+local); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func request(filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil)
}

// found searches and answers the addresses found, in order, and the result code.
func found(t *testing.T, c *ldap.Conn, filter string) (addresses []string, code uint16) {
	t.Helper()
	result, err := c.Search(request(filter, "mail"))
	code = codeOf(t, err)
	if result != nil {
		for _, e := range result.Entries {
			addresses = append(addresses, e.GetAttributeValues("mail")...)
		}
	}
	slices.Sort(addresses)
	return addresses, code
}

// codeOf is the result code of an error.
func codeOf(t *testing.T, err error) uint16 {
	t.Helper()
	if err == nil {
		return 0
	}
	var result *ldap.Error
	if !errors.As(err, &result) || result.ResultCode >= ldap.ErrorNetwork {
		t.Fatalf("no result: %v", err)
	}
	return result.ResultCode
}

const (
	claire      = "claire.durand@sapins.mssante.fr"
	noemie      = "noemie.martin@clinique-des-sapins.fr"
	paul        = "paul.bernard@sapins.mssante.fr"
	lea         = "lea.petit@sapins.mssante.fr"
	secretariat = "secretariat@sapins.mssante.fr"
	urgences    = "urgences@clinique-des-sapins.fr"
	imagerie    = "imagerie-auto@sapins.mssante.fr"
	sophie      = "sophie.moreau@sapins.mssante.fr"
	remote      = "jean.valjean@montreuil.exemple.fr"
)

func valjean() map[extraction.Column]string {
	return map[extraction.Column]string{
		extraction.BALType: "PER", extraction.BALAddress: remote, extraction.PersonIDType: "8", extraction.PersonID: "10003456786", extraction.LastName: "VALJEAN",
		extraction.FirstName: "Jean", extraction.ProfessionCode: "10", extraction.PostalLine: "62170 MONTREUIL", extraction.PostalCode: "62170",
	}
}

// TestVisibility: who sees whom, over both units.
func TestVisibility(t *testing.T) {
	f := start(t, nil)
	f.national(0+1, valjean())
	all := []string{claire, imagerie, paul, secretariat, sophie, urgences}
	with := func(more ...string) []string { return slices.Sorted(slices.Values(append(slices.Clone(all), more...))) }
	for _, test := range []struct {
		login    string
		local    []string
		national bool
	}{
		{"claire.durand", all, true},
		{"noemie.martin", with(noemie), true}, // by default she opens the secretariat, which has an MSSanté address
		{"noemie.martin@clinique-des-sapins.fr*noemie.martin@clinique-des-sapins.fr", with(noemie), false},
		{"secretariat@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr", all, true},
		{"urgences@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr", all, false},
		{"lea.petit", with(lea), true},
		{"sophie.moreau", with(lea, noemie), true},
	} {
		c := f.as(test.login)
		got, code := found(t, c, "(|(mail=*@sapins.mssante.fr)(mail=*@clinique-des-sapins.fr))")
		if !slices.Equal(got, test.local) || code != 0 {
			t.Errorf("%s sees %v (%d), want %v", test.login, got, code, test.local)
		}
		got, _ = found(t, c, "(sn=valjean)")
		if test.national != (len(got) == 1) {
			t.Errorf("%s sees %v of the national directory, want %v", test.login, got, test.national)
		}
		base := ldap.NewSearchRequest("ou=national,"+suffix, ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil)
		if _, err := c.Search(base); (err == nil) != test.national {
			t.Errorf("%s asks for the unit: %v", test.login, err)
		}
	}
}

// TestHiddenTellsNothing: whatever is asked about somebody on the red list, the answer is, octet for octet, that about somebody who does not exist.
func TestHiddenTellsNothing(t *testing.T) {
	f := start(t, nil)
	f.national(30, map[extraction.Column]string{extraction.BALType: "PER", extraction.BALAddress: lea, extraction.PersonIDType: "0", extraction.PersonID: "319100015", extraction.LastName: "Petit", extraction.FirstName: "Léa"})
	without := start(t, func(o *ldapserver.Options) {
		// The same directory without her.
		if err := o.Directory.SetAccounts(ldaptest.Snapshot(t,
			"lea.petit@clinique-des-sapins.fr", "nobody.else@clinique-des-sapins.fr", "lea.petit@sapins.mssante.fr", "nobody.else@sapins.mssante.fr",
			"Petit", "Else", "Léa", "Nobody", "319100015", "319100023")); err != nil {
			t.Fatal(err)
		}
	})
	without.national(30)
	asked := []func(c *ldap.Conn) string{}
	for _, filter := range []string{
		"(mail=lea.petit@sapins.mssante.fr)", "(mail=lea.petit@clinique-des-sapins.fr)", "(sn=petit)", "(sn=pet*)", "(cn=*etit*)", "(cn=léa petit)", "(givenName=lea)", "(IdentifiantPP=319100015)",
		"(IdentifiantPP=0319100015)", "(TypeIdentifiantPP=0)", "(profession=91)", "(title=orthophoniste)", "(&(TypeBAL=PER)(!(TypeIdentifiantPP=8)))", "(displayName:caseExactMatch:=Léa Petit)",
		"(personalTitle=*)", "(!(sn=durand))", "(|(sn=petit)(sn=durand))", "(mail=*)", "(entryUUID=eff0567e-8aa5-5be3-839f-2c6d8ec2d567)", "(objectClass=*)", "(hasSubordinates=*)",
	} {
		for _, limit := range []int{0, 1, 2, 5, 6, 7, 35, 36, 37, 38} {
			asked = append(asked, func(c *ldap.Conn) string {
				r := request(filter, "*", "+")
				r.SizeLimit = limit
				return describe(c.Search(r))
			})
		}
		for _, page := range []uint32{1, 3, 100} {
			asked = append(asked, func(c *ldap.Conn) string { return describe(c.SearchWithPaging(request(filter, "cn"), page)) })
		}
		for _, key := range []string{"sn", "-cn", "profession", "IdentifiantPP"} {
			asked = append(asked, func(c *ldap.Conn) string {
				r := request(filter, "cn")
				attribute, reverse := strings.CutPrefix(key, "-")
				r.Controls = []ldap.Control{ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: attribute, Reverse: reverse}})}
				return describe(c.Search(r))
			})
		}
	}
	for offset := range int32(9) {
		asked = append(asked, func(c *ldap.Conn) string { return describe(c.Search(windowOf("(mail=*)", "sn", 1, 1, offset, 0, ""))) })
	}
	for _, value := range []string{"pet", "petit", "petite", "p"} {
		asked = append(asked, func(c *ldap.Conn) string { return describe(c.Search(windowOf("(mail=*)", "sn", 1, 1, 0, 0, value))) })
	}
	for _, dn := range []string{"mail=lea.petit@sapins.mssante.fr,ou=local,", "mail=lea.petit@clinique-des-sapins.fr,ou=local,", "mail=lea.petit@sapins.mssante.fr,ou=national,", "ou=local,", "ou=national,", "cn=Léa Petit,ou=local,"} {
		for _, scope := range []int{0, 1, 2, 3} {
			asked = append(asked, func(c *ldap.Conn) string {
				return describe(c.Search(ldap.NewSearchRequest(dn+suffix, scope, 0, 0, 0, false, "(objectClass=*)", []string{"*", "+", "numSubordinates"}, nil)))
			})
		}
		for _, attribute := range []string{"sn", "mail", "nosuch", "entryUUID"} {
			asked = append(asked, func(c *ldap.Conn) string {
				same, err := c.Compare(dn+suffix, attribute, "Petit")
				return fmt.Sprint(same, err)
			})
		}
	}
	for _, login := range []string{"claire.durand", "noemie.martin", "urgences@clinique-des-sapins.fr*paul.bernard@clinique-des-sapins.fr"} {
		hidden, missing := f.as(login), without.as(login)
		for i, ask := range asked {
			if a, b := ask(hidden), ask(missing); a != b {
				t.Errorf("%s, question %d: with her\n%s\nwithout\n%s", login, i, a, b)
			}
		}
	}
	// A wrong password for her, and one for nobody.
	for _, name := range []string{lea, "lea.petit@clinique-des-sapins.fr", "mail=" + lea + ",ou=local," + suffix} {
		a, b := f.dial().Bind(name, "wrong"), without.dial().Bind(name, "wrong")
		if a == nil || b == nil || a.Error() != b.Error() {
			t.Errorf("a bind as %s: %v, %v", name, a, b)
		}
	}
}

// describe writes down all of an answer but times.
func describe(result *ldap.SearchResult, err error) string {
	var b strings.Builder
	if result != nil {
		for _, e := range result.Entries {
			b.WriteString(e.DN + "\n")
			for _, a := range e.Attributes {
				if a.Name != "modifyTimestamp" {
					fmt.Fprintf(&b, "  %s: %q\n", a.Name, a.Values)
				}
			}
		}
		for _, c := range result.Controls {
			if _, ok := c.(*ldap.ControlPaging); !ok { // a cookie is sealed anew each time
				b.WriteString(c.String() + "\n")
			}
		}
	}
	fmt.Fprint(&b, err)
	return b.String()
}

// TestAnonymous: root and schema only, or what the configuration opens.
func TestAnonymous(t *testing.T) {
	f := start(t, nil)
	c := f.dial()
	if err := c.UnauthenticatedBind(""); err != nil {
		t.Error(err)
	}
	if _, code := found(t, c, "(cn=*)"); code != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("a search: %d", code)
	}
	root := ldap.NewSearchRequest("", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"+"}, nil)
	result, err := c.Search(root)
	if err != nil || len(result.Entries) != 1 || result.Entries[0].GetAttributeValue("namingContexts") != suffix {
		t.Errorf("the root DSE: %v %v", result, err)
	}
	schema := ldap.NewSearchRequest("cn=Subschema", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=subschema)", []string{"attributeTypes", "objectClasses"}, nil)
	result, err = c.Search(schema)
	if err != nil || len(result.Entries) != 1 || len(result.Entries[0].GetAttributeValues("attributeTypes")) < 20 {
		t.Errorf("the schema: %v %v", result, err)
	}
	open := start(t, func(o *ldapserver.Options) { o.Anonymous = policy.Sight{Local: true} })
	open.national(1, valjean())
	if got, code := found(t, open.dial(), "(mail=*)"); code != 0 || slices.Contains(got, lea) || !slices.Contains(got, claire) || slices.Contains(got, remote) {
		t.Errorf("opened: %v %d", got, code)
	}
}

// TestBind: every way to name oneself, and every refusal.
func TestBind(t *testing.T) {
	f := start(t, nil)
	entryName := func(address string) string { return "mail=" + address + ",ou=local," + suffix }
	for _, test := range []struct {
		name, password string
		want           uint16
	}{
		{claire, "demo-claire.durand", 0},
		{"CLAIRE.DURAND@clinique-des-sapins.fr", "demo-claire.durand", 0},
		{entryName(claire), "demo-claire.durand", 0},
		{"secretariat@sapins.mssante.fr*claire.durand@clinique-des-sapins.fr", "demo-claire.durand", 0},
		{"claire.durand@clinique-des-sapins.fr/urgences@clinique-des-sapins.fr", "demo-claire.durand", 0},
		{claire, "wrong", ldap.LDAPResultInvalidCredentials},
		{entryName("nobody@x.fr"), "x", ldap.LDAPResultInvalidCredentials},
		{secretariat, "demo-secretariat", ldap.LDAPResultInvalidCredentials},
		{"cn=admin", "x", ldap.LDAPResultInvalidCredentials},
		{"urgences@clinique-des-sapins.fr*noemie.martin@clinique-des-sapins.fr", "demo-noemie.martin", ldap.LDAPResultInvalidCredentials},
	} {
		if code := codeOf(t, f.dial().Bind(test.name, test.password)); code != test.want {
			t.Errorf("bind %s: %d, want %d", test.name, code, test.want)
		}
	}
	c := f.dial()
	request := ldap.NewSimpleBindRequest(claire, "", nil)
	request.AllowEmptyPassword = true
	if _, err := c.SimpleBind(request); codeOf(t, err) != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("a name without password: %v", err)
	}
	if err := c.Bind(claire, "demo-claire.durand"); err != nil {
		t.Fatal(err)
	}
	who, err := c.WhoAmI(nil)
	if err != nil || who.AuthzID != "dn:"+entryName(claire) {
		t.Errorf("who am I: %v %v", who, err)
	}
	if f.sessions.Len() == 0 || f.sessions.List()[0].Protocol != "ldap" {
		t.Errorf("live sessions: %v", f.sessions.List())
	}
	// A failed bind leaves nobody logged in (RFC 4511, 4.2.1).
	c.Bind(claire, "wrong")
	if _, code := found(t, c, "(mail=*)"); code != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("after a failed bind: %d", code)
	}
	c.Bind(claire, "wrong")
	if err := c.Bind(claire, "wrong"); codeOf(t, err) != ldap.LDAPResultInvalidCredentials {
		t.Errorf("the third failure: %v", err)
	}
	if _, err := c.WhoAmI(nil); err == nil {
		t.Error("the connection lives on after three failures")
	}
}

// TestTemporaryFailures: what is not the client's fault is never 49, for which Thunderbird erases the password.
func TestTemporaryFailures(t *testing.T) {
	f := start(t, nil)
	for err, want := range map[error]uint16{
		&auth.Unavailable{Reason: policy.Reason{Code: policy.ReasonUnavailable}}: ldap.LDAPResultUnavailable,
		&auth.Unavailable{Reason: policy.Reason{Code: policy.ReasonThrottled}}:   ldap.LDAPResultBusy,
		auth.ErrTemporary:           ldap.LDAPResultUnavailable,
		errors.New("anything else"): ldap.LDAPResultUnavailable,
	} {
		f.fails = err
		if code := codeOf(t, f.dial().Bind(claire, "demo-claire.durand")); code != want {
			t.Errorf("%v: %d, want %d", err, code, want)
		}
	}
}

// TestLogInsAreTraced: each refusal, and a log-in once for all that repeat it within minutes.
func TestLogInsAreTraced(t *testing.T) {
	f := start(t, nil)
	for range 3 {
		f.as("claire.durand")
	}
	f.dial().Bind(claire, "wrong")
	f.as("secretariat@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr")
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []string
	for _, r := range f.trace {
		if r.Protocol != "ldap" || !netip.MustParseAddrPort(r.Client).Addr().IsLoopback() || r.Session == "" {
			t.Errorf("record %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Action, r.Person.Address.Local(), r.Mailbox.Address.Local(), r.Answer))
	}
	want := []string{"login claire.durand claire.durand success", "refusal claire.durand  invalidCredentials", "login claire.durand secretariat success"}
	if !slices.Equal(got, want) {
		t.Errorf("traced %q, want %q", got, want)
	}
}

// TestReload: the next search obeys the new rules, also on an open cursor, and the session of one who may no longer open the mailbox ends.
func TestReload(t *testing.T) {
	f := start(t, nil)
	c, delegate := f.as("claire.durand"), f.as("urgences@clinique-des-sapins.fr*paul.bernard@clinique-des-sapins.fr")
	paging := ldap.NewControlPaging(4)
	page := request("(mail=*)", "mail")
	page.Controls = []ldap.Control{paging}
	first, err := c.Search(page)
	if err != nil || len(first.Entries) != 4 {
		t.Fatalf("%v %v", first, err)
	}
	snap := ldaptest.Snapshot(t, "    mssante: sophie.moreau@sapins.mssante.fr", "    mssante: sophie.moreau@sapins.mssante.fr\n    red_list: true",
		"      - {account: paul.bernard@clinique-des-sapins.fr, rights: write, send: on-behalf}", "")
	if err := f.directory.SetAccounts(snap); err != nil {
		t.Fatal(err)
	}
	f.sessions.Recheck(snap)
	answer, ok := ldap.FindControl(first.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
	if !ok {
		t.Fatal("no cookie")
	}
	paging.SetCookie(answer.Cookie)
	rest, err := c.Search(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range rest.Entries {
		if e.GetAttributeValue("mail") == sophie {
			t.Error("she is shown on a page of a search that began before she was on the red list")
		}
	}
	if got, _ := found(t, c, "(sn=moreau)"); len(got) > 0 {
		t.Errorf("she is found: %v", got)
	}
	if _, err := delegate.WhoAmI(nil); err == nil {
		t.Error("the session of a delegation that was withdrawn lives on")
	}
}

// TestSizeLimit: as many as the limit are no excess; one that is hidden is none.
func TestSizeLimit(t *testing.T) {
	f := start(t, nil)
	c := f.as("claire.durand")
	for limit, want := range map[int]uint16{1: ldap.LDAPResultSizeLimitExceeded, 5: ldap.LDAPResultSizeLimitExceeded, 6: 0, 7: 0} {
		r := request("(mail=*)", "mail")
		r.SizeLimit = limit
		result, err := c.Search(r)
		if code := codeOf(t, err); code != want || len(result.Entries) != min(limit, 6) {
			t.Errorf("limit %d: %d entries, %d", limit, len(result.Entries), code)
		}
	}
}

// TestLimitsOfPages: a page and all pages together are bounded, by the client's limit too.
func TestLimitsOfPages(t *testing.T) {
	f := start(t, func(o *ldapserver.Options) { o.Limits = ldapserver.Limits{Entries: 20, PagedEntries: 50} })
	f.national(100)
	c := f.as("claire.durand")
	sizes := func(r *ldap.SearchRequest, size uint32) (pages []int, code uint16) {
		paging := ldap.NewControlPaging(size)
		r.Controls = append(r.Controls, paging)
		for {
			result, err := c.Search(r)
			pages = append(pages, len(result.Entries))
			if code = codeOf(t, err); code != 0 {
				return pages, code
			}
			answer, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
			if !ok {
				t.Fatal("no answer to the control")
			}
			if len(answer.Cookie) == 0 {
				return pages, 0
			}
			paging.SetCookie(answer.Cookie)
		}
	}
	if got, code := sizes(request("(mail=*)"), 30); !slices.Equal(got, []int{20, 20, 10}) || code != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("pages of %v, %d", got, code)
	}
	limited := request("(mail=*)")
	limited.SizeLimit = 25
	if got, code := sizes(limited, 10); !slices.Equal(got, []int{10, 10, 5}) || code != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("pages of %v, %d with a limit of the client's", got, code)
	}
	if got, code := sizes(request("(mail=*sapins*)"), 4); !slices.Equal(got, []int{4, 2}) || code != 0 {
		t.Errorf("pages of %v, %d", got, code)
	}
	sorted := request("(mail=*)")
	sorted.Controls = []ldap.Control{ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: "sn"}})}
	if got, code := sizes(sorted, 15); !slices.Equal(got, []int{15, 15, 15, 5}) || code != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("sorted pages of %v, %d", got, code)
	}
	r := request("(mail=*)")
	r.Controls = []ldap.Control{&ldap.ControlPaging{PagingSize: 5, Cookie: []byte("forged")}}
	if _, err := c.Search(r); codeOf(t, err) != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("a forged cookie: %v", err)
	}
}

// TestPagesAreTheWholeInOrder: pages of any size, sorted or not, hold each entry once.
func TestPagesAreTheWholeInOrder(t *testing.T) {
	f := start(t, func(o *ldapserver.Options) { o.Limits = ldapserver.Limits{Entries: 1000, PagedEntries: 1000} })
	f.national(150)
	c := f.as("sophie.moreau")
	for _, key := range []string{"", "sn", "-sn", "l", "cn", "-profession"} {
		ask := func() *ldap.SearchRequest {
			r := request("(|(mail=*)(ou=*))", "sn")
			if attribute, reverse := strings.CutPrefix(key, "-"); key != "" {
				r.Controls = []ldap.Control{ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: attribute, Reverse: reverse}})}
			}
			return r
		}
		whole, err := c.Search(ask())
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []uint32{1, 7, 64} {
			r := ask()
			pages, err := c.SearchWithPaging(r, size)
			if err != nil {
				t.Fatal(err)
			}
			a, b := names(whole), names(pages)
			if key == "" { // an order of its own
				slices.Sort(a)
				slices.Sort(b)
			}
			if !slices.Equal(a, b) {
				t.Errorf("sorted by %q in pages of %d: %d entries, want %d in their order", key, size, len(b), len(a))
			}
		}
	}
}

func names(r *ldap.SearchResult) []string {
	var all []string
	for _, e := range r.Entries {
		all = append(all, e.DN)
	}
	return all
}

// TestSearchErrors: what clients get wrong, and what they are told.
func TestSearchErrors(t *testing.T) {
	f := start(t, nil)
	c := f.as("claire.durand")
	for base, want := range map[string]uint16{
		"dc=other,dc=fr": ldap.LDAPResultNoSuchObject, "no name": ldap.LDAPResultInvalidDNSyntax, "ou=nosuch," + suffix: ldap.LDAPResultNoSuchObject,
		"DC=MSSanté, dc=FR": 0, "dc = mssante , dc=fr": 0, "OU=Local," + suffix: 0, "2.5.4.11=local," + suffix: 0, "mail=x,mail=y,ou=local," + suffix: ldap.LDAPResultNoSuchObject,
		"mail=CLAIRE.durand@sapins.mssante.fr,ou=local," + suffix: 0,
	} {
		r := request("(objectClass=*)")
		r.BaseDN = base
		if _, err := c.Search(r); codeOf(t, err) != want {
			t.Errorf("base %q: %v, want %d", base, err, want)
		}
	}
	for filter, want := range map[string]int{
		"(nosuch=x)": 0, "(!(nosuch=x))": 0, "(|(nosuch=x)(sn=durand))": 1, "(&(nosuch=x)(sn=durand))": 0, "(surname=durand)": 1, "(2.5.4.4=durand)": 1, "(cn;lang-fr=claire durand)": 0,
		"(mozillaNickname=*)": 0, "(&)": 8, "(|)": 0, "(sn=Dùränd)": 1, "(cn=  claire   durand )": 1, "(cn=CLAIRE D*)": 1, "(description=Secretariat - clinique*)": 1, "(sn>=a)": 0, "(cn~=claire durand)": 1,
		"(IdentifiantPP=810003456786)": 1, "(IdentifiantPP=10003456786)": 1, "(objectClass=organizationalUnit)": 1, "(objectClass=2.16.840.1.113730.3.2.2)": 6, "(cn:dn:=x)": 0, "(ou:dn:=local)": 7,
		"(modifyTimestamp>=20200101000000Z)": 6, "(modifyTimestamp<=20200101000000Z)": 0, "(structuralObjectClass=person)": 0, `(cn=\2a)`: 0,
	} {
		result, err := c.Search(request(filter, "1.1"))
		if err != nil || len(result.Entries) != want {
			t.Errorf("%s: %d entries (%v), want %d: %v", filter, len(result.Entries), err, want, names(result))
		}
	}
	if _, code := found(t, c, "(cn=*ab*)"); code != ldap.LDAPResultAdminLimitExceeded {
		t.Errorf("two letters: %d", code)
	}
	if got, code := found(t, c, "(&(cn=*la*)(sn=durand))"); code != 0 || len(got) != 1 {
		t.Errorf("two letters beside a name: %v %d", got, code)
	}
}

// windowOf asks for a part of the list sorted by an attribute, as Outlook does when somebody browses: from an offset, or from a value.
func windowOf(filter, attribute string, before, after, offset, count int32, value string) *ldap.SearchRequest {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(ber.AppendInt(b, ber.Integer, before), ber.Integer, after)
	if value != "" {
		b = ber.Append(b, ber.Context(1, false), value)
	} else {
		var target int
		b, target = ber.Begin(b, ber.Context(0, true))
		b = ber.End(ber.AppendInt(ber.AppendInt(b, ber.Integer, offset), ber.Integer, count), target)
	}
	r := request(filter, "cn")
	r.Controls = []ldap.Control{
		ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: attribute}}),
		ldap.NewControlString(wire.ControlVLV, true, string(ber.End(b, mark))),
	}
	return r
}

// position reads the answer to a window.
func position(t *testing.T, r *ldap.SearchResult) (target, count int32) {
	t.Helper()
	control, ok := ldap.FindControl(r.Controls, wire.ControlVLVAnswer).(*ldap.ControlString)
	if !ok {
		t.Fatalf("no answer to the control: %v", r.Controls)
	}
	outer := ber.NewReader([]byte(control.ControlValue))
	in := ber.NewReader(outer.Expect(ber.Sequence))
	target, count = in.Int(ber.Integer, 0, 1000), in.Int(ber.Integer, 0, 1000)
	if code := in.Int(ber.Enumerated, 0, 1000); in.Done() != nil || code != 0 {
		t.Errorf("the answer to the control: %d %v", code, in.Err())
	}
	return target, count
}

// TestWindows: parts of a sorted list, over both units, by place and by value.
func TestWindows(t *testing.T) {
	f := start(t, nil)
	f.national(1, valjean())
	c := f.as("claire.durand")
	const filter = "(|(mail=*@sapins.mssante.fr)(mail=*@clinique-des-sapins.fr)(sn=valjean))"
	// By surname: Bernard, Durand, Imagerie, Moreau, Secrétariat, Urgences, VALJEAN.
	for _, test := range []struct {
		before, after, offset, count int32
		value                        string
		at                           int32
		want                         string
	}{
		{0, 1, 1, 0, "", 1, "Paul|Claire"},
		{1, 1, 7, 7, "", 7, "Urgences|Jean"},
		{1, 1, 100, 0, "", 8, "Jean"},
		{0, 0, 50, 100, "", 3, "Imagerie"},
		{9, 0, 2, 7, "", 2, "Paul|Claire"},
		{0, 2, 0, 0, "m", 4, "Sophie|Secrétariat|Urgences"},
		{1, 0, 0, 0, "secretariat", 5, "Sophie|Secrétariat"},
		{0, 5, 0, 0, "zzz", 8, ""},
	} {
		result, err := c.Search(windowOf(filter, "sn", test.before, test.after, test.offset, test.count, test.value))
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		var got []string
		for _, e := range result.Entries {
			first, _, _ := strings.Cut(e.GetAttributeValue("cn"), " ")
			got = append(got, first)
		}
		if at, count := position(t, result); at != test.at || count != 7 || strings.Join(got, "|") != test.want {
			t.Errorf("%+v: %v, entry %d of %d", test, got, at, count)
		}
	}
	if _, err := c.Search(windowOf(filter, "sn", 0, 0, 0, 0, "")); codeOf(t, err) != uint16(wire.OffsetRangeError) {
		t.Errorf("offset 0: %v", err)
	}
	unsorted := windowOf(filter, "sn", 0, 0, 1, 0, "")
	unsorted.Controls = unsorted.Controls[1:]
	if _, err := c.Search(unsorted); codeOf(t, err) != uint16(wire.SortControlMissing) {
		t.Errorf("without an order: %v", err)
	}
	if _, err := c.Search(windowOf(filter, "nosuch", 0, 0, 1, 0, "")); codeOf(t, err) != uint16(wire.NoSuchAttribute) {
		t.Errorf("by an attribute that nobody knows: %v", err)
	}
}

// TestWrites: nothing is changed over LDAP.
func TestWrites(t *testing.T) {
	c := start(t, nil).as("sophie.moreau")
	name := "mail=" + claire + ",ou=local," + suffix
	modify := ldap.NewModifyRequest(name, nil)
	modify.Replace("sn", []string{"x"})
	add := ldap.NewAddRequest("mail=new@x.fr,ou=local,"+suffix, nil)
	add.Attribute("sn", []string{"x"})
	for what, err := range map[string]error{
		"modify": c.Modify(modify), "add": c.Add(add), "delete": c.Del(ldap.NewDelRequest(name, nil)), "rename": c.ModifyDN(ldap.NewModifyDNRequest(name, "mail=x@y.fr", true, "")),
	} {
		if codeOf(t, err) != ldap.LDAPResultUnwillingToPerform {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, _ := found(t, c, "(sn=durand)"); len(got) != 1 {
		t.Error("the connection is of no use after a write was refused")
	}
}

// TestBudget: who has had too many entries gets none for an hour.
func TestBudget(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	f := start(t, func(o *ldapserver.Options) {
		o.Limits = ldapserver.Limits{PerPerson: 10}
		o.Now = func() time.Time { return now }
	})
	c := f.as("claire.durand")
	found(t, c, "(mail=*)")
	found(t, c, "(mail=*)")
	if got, code := found(t, c, "(mail=*)"); len(got) > 0 || code != ldap.LDAPResultAdminLimitExceeded {
		t.Errorf("beyond the budget: %v %d", got, code)
	}
	if got, _ := found(t, f.as("paul.bernard"), "(mail=*)"); len(got) != 6 {
		t.Errorf("somebody else: %v", got)
	}
	now = now.Add(time.Hour)
	if got, _ := found(t, c, "(mail=*)"); len(got) != 6 {
		t.Errorf("an hour later: %v", got)
	}
}
