package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/ldapserver/ber"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
	ldapwire "balorg/ldapserver/wire"
	"balorg/store/audit"
)

const suffix = "dc=mssante,dc=fr"

// bound is a client of the directory that has logged in with a name.
func bound(t *testing.T, g *gatewaytest.Gateway, name, password string) *ldap.Conn {
	t.Helper()
	c := dialLDAP(t, g)
	if err := c.Bind(name, password); err != nil {
		t.Fatalf("binding as %s: %v", name, err)
	}
	return c
}

func dialLDAP(t *testing.T, g *gatewaytest.Gateway) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL("ldaps://"+g.Listeners().LDAPS[0], ldap.DialWithTLSConfig(&tls.Config{RootCAs: g.Roots()}))
	if err != nil {
		t.Fatal(err)
	}
	c.SetTimeout(20 * time.Second)
	t.Cleanup(func() { c.Close() })
	return c
}

func personBound(t *testing.T, g *gatewaytest.Gateway, local string) *ldap.Conn {
	t.Helper()
	return bound(t, g, string(address(local)), gatewaytest.Password(local))
}

// mails are the addresses that a search answers, in order.
func mails(t *testing.T, c *ldap.Conn, r *ldap.SearchRequest) []string {
	t.Helper()
	result, err := c.Search(r)
	if err != nil {
		t.Fatalf("searching %s: %v", r.Filter, err)
	}
	return mailsOf(result)
}

func mailsOf(result *ldap.SearchResult) []string {
	var all []string
	for _, e := range result.Entries {
		all = append(all, e.GetAttributeValue("mail"))
	}
	return all
}

func searchFor(filter string, controls ...ldap.Control) *ldap.SearchRequest {
	return ldap.NewSearchRequest(suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"mail"}, controls)
}

// importRows has the gateway take an extraction of some rows made up, and those given.
func importRows(t *testing.T, g *gatewaytest.Gateway, rows int, extra ...map[extraction.Column]string) {
	t.Helper()
	path := filepath.Join(g.Dir, "extraction.txt")
	writeExtraction(t, path, rows, extra...)
	if err := g.Call(gateway.OpDirectoryImport, gateway.ImportArgs{File: path}, nil); err != nil {
		t.Fatal(err)
	}
}

func writeExtraction(t *testing.T, path string, rows int, extra ...map[extraction.Column]string) {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Write(&b, sample.Options{Rows: rows, Seed: 1, Extra: extra}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func service(address string) map[extraction.Column]string {
	return map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: address, extraction.LegalName: "CHU de Brest"}
}

// redListPaul puts Paul on the red list.
func redListPaul(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	g.Edit("accounts.yaml", "    mssante: paul.bernard@sapins.mssante.fr\n", "    mssante: paul.bernard@sapins.mssante.fr\n    red_list: true\n")
	if _, err := g.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
}

// TestRedListReload: a reload that puts somebody on the red list holds for the very next search, the next page of one that is under way and the next window of a list;
// the row that the national directory has of them does not come to light.
func TestRedListReload(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire, paul)
	importRows(t, g, 50, service("paul.bernard@sapins.mssante.fr"), service("accueil@chu-exemple.mssante.fr"))
	c, himself := personBound(t, g, claire), personBound(t, g, paul)
	const local = "(|(mail=*@sapins.mssante.fr)(mail=*@clinique-des-sapins.fr))"
	const his = "paul.bernard@sapins.mssante.fr"
	before := mails(t, c, searchFor(local))
	if !slices.Contains(before, his) || len(before) != 6 {
		t.Fatalf("before: %v", before)
	}
	paging := ldap.NewControlPaging(1)
	first, err := c.Search(searchFor(local, paging))
	if err != nil || len(first.Entries) != 1 {
		t.Fatal(err)
	}
	sorted := ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: "sn"}})
	if got, err := c.Search(searchFor(local, sorted, window(1, 2))); err != nil || !slices.Equal(mailsOf(got), []string{his, "claire.durand@sapins.mssante.fr"}) || windowCount(t, got) != 6 {
		t.Fatalf("the window before: %v, %v", got, err)
	}

	redListPaul(t, g)
	var paged []string
	for page := first; ; {
		paged = append(paged, mailsOf(page)...)
		answer, ok := ldap.FindControl(page.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			break
		}
		paging.SetCookie(answer.Cookie)
		if page, err = c.Search(searchFor(local, paging)); err != nil {
			t.Fatal(err)
		}
	}
	if mailsOf(first)[0] != his && (slices.Contains(paged, his) || len(paged) != 5) {
		t.Errorf("the pages after the reload: %v", paged)
	}
	after := mails(t, c, searchFor(local))
	if slices.Contains(after, his) || len(after) != 5 {
		t.Errorf("after: %v", after)
	}
	got, err := c.Search(searchFor(local, sorted, window(1, 2)))
	if err != nil || mailsOf(got)[0] != "claire.durand@sapins.mssante.fr" || windowCount(t, got) != 5 {
		t.Errorf("the window after: %v, %v", got, err)
	}
	for _, unit := range []string{"local", "national"} {
		r := searchFor("(objectClass=*)")
		r.BaseDN = "mail=" + his + ",ou=" + unit + "," + suffix
		if _, err := c.Search(r); !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			t.Errorf("his entry in %s: %v", unit, err)
		}
	}
	if got := mails(t, himself, searchFor("(mail="+his+")")); !slices.Equal(got, []string{his}) {
		t.Errorf("he sees of himself: %v", got)
	}
}

// TestRedListOnSave: saving the file is enough, and takes effect within a second of its being read as settled.
func TestRedListOnSave(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	c := personBound(t, g, claire)
	search := searchFor("(mail=paul.bernard@*)")
	if got := mails(t, c, search); len(got) != 1 {
		t.Fatalf("before: %v", got)
	}
	g.Edit("accounts.yaml", "    mssante: paul.bernard@sapins.mssante.fr\n", "    mssante: paul.bernard@sapins.mssante.fr\n    red_list: true\n")
	g.Eventually("the red list", func() bool { return len(mails(t, c, search)) == 0 })
}

// window asks for so many entries from a place of a sorted list on.
func window(offset, count int32) ldap.Control {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(ber.AppendInt(b, ber.Integer, 0), ber.Integer, count-1)
	b, target := ber.Begin(b, ber.Context(0, true))
	b = ber.End(ber.AppendInt(ber.AppendInt(b, ber.Integer, offset), ber.Integer, 0), target)
	return ldap.NewControlString(ldapwire.ControlVLV, true, string(ber.End(b, mark)))
}

// windowCount is how long the list is, as the answer says.
func windowCount(t *testing.T, r *ldap.SearchResult) int32 {
	t.Helper()
	control, ok := ldap.FindControl(r.Controls, ldapwire.ControlVLVAnswer).(*ldap.ControlString)
	if !ok {
		t.Fatalf("no answer to the control: %v", r.Controls)
	}
	outer := ber.NewReader([]byte(control.ControlValue))
	in := ber.NewReader(outer.Expect(ber.Sequence))
	in.Int(ber.Integer, 0, 1000)
	return in.Int(ber.Integer, 0, 1000)
}

// TestUnitsByMailbox: the opened mailbox decides whether the national directory is there at all.
func TestUnitsByMailbox(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie, claire)
	importRows(t, g, 50, service("accueil@chu-exemple.mssante.fr"))
	search := searchFor("(|(mail=accueil@chu-exemple.mssante.fr)(mail=claire.durand@*))")
	if got := mails(t, personBound(t, g, noemie), search); len(got) != 2 {
		t.Errorf("from the secretariat: %v", got)
	}
	c := bound(t, g, string(address(urgences))+"*"+string(address(claire)), gatewaytest.Password(claire))
	if got := mails(t, c, search); !slices.Equal(got, []string{"claire.durand@sapins.mssante.fr"}) {
		t.Errorf("from urgences: %v", got)
	}
}

// TestWithdrawnDelegationLDAP: the session that uses it is told that it ends, and ends.
func TestWithdrawnDelegationLDAP(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie, claire)
	conn, err := tls.Dial("tcp", g.Listeners().LDAPS[0], &tls.Config{RootCAs: g.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	b, message := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, 1)
	b, bind := ber.Begin(b, 0x60) // BindRequest
	b = ber.AppendInt(b, ber.Integer, 3)
	b = ber.Append(b, ber.Octets, string(address(noemie)))
	b = ber.Append(b, ber.Context(0, false), gatewaytest.Password(noemie))
	if _, err := conn.Write(ber.End(ber.End(b, bind), message)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	if n, err := conn.Read(answer); err != nil || !bytes.Contains(answer[:n], []byte{0x61, 7, ber.Enumerated, 1, 0}) {
		t.Fatalf("the bind: %x, %v", answer[:n], err)
	}
	stays := personBound(t, g, claire)
	g.Edit("delegations.yaml", noemiesLine, "")
	if _, err := g.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	end, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(end, []byte("1.3.6.1.4.1.1466.20036")) || !bytes.Contains(end, []byte("you may no longer open this mailbox")) {
		t.Errorf("the end: %q, %v", end, err)
	}
	if got := mails(t, stays, searchFor("(mail=claire.durand@*)")); len(got) != 1 {
		t.Errorf("another session: %v", got)
	}
	// Her own mailbox is what opens now; it has no MSSanté address.
	again := personBound(t, g, noemie)
	if got := mails(t, again, searchFor("(mail=claire.durand@*)")); len(got) != 1 {
		t.Errorf("she logs in again: %v", got)
	}
}

// TestDirectoryTrace: a refused log-in is in the trace with its true reason; log-ins of one person from one place are, once in ten minutes.
func TestDirectoryTrace(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	if err := dialLDAP(t, g).Bind(string(address(noemie)), "wrong"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := dialLDAP(t, g).Bind(string(address(urgences))+"*"+string(address(noemie)), gatewaytest.Password(noemie)); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("a mailbox that is not hers: %v", err)
	}
	for range 3 {
		personBound(t, g, noemie)
	}
	var logins, refusals []string
	for _, r := range trace(t, g, gateway.AuditArgs{}) {
		switch {
		case r.Protocol != "ldap":
		case r.Action == audit.Login:
			logins = append(logins, string(r.Person.Address+" "+r.Mailbox.Address)+" "+r.Request)
		case r.Action == audit.Refusal:
			refusals = append(refusals, r.Answer+": "+r.Reason)
		}
	}
	if want := string(address(noemie) + " " + address(secretariat) + " BIND SIMPLE"); !slices.Equal(logins, []string{want}) {
		t.Errorf("log-ins: %q, want %q once", logins, want)
	}
	if len(refusals) != 2 || !strings.HasPrefix(refusals[0], "invalidCredentials: ") || !strings.Contains(refusals[1], "no delegation gives urgences@") {
		t.Errorf("refusals: %q", refusals)
	}
}

// TestNationalFromServer: a whole gateway fetches the national directory when it starts, leaves an unchanged one alone, and takes another when it is told to look.
func TestNationalFromServer(t *testing.T) {
	var mu sync.Mutex
	var file bytes.Buffer
	var asked []string
	publish := func(rows int) {
		mu.Lock()
		defer mu.Unlock()
		file.Reset()
		if err := sample.WriteZIP(&file, sample.Options{Rows: rows, Seed: 1, Date: time.Date(2026, 11, 2, 4, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method)
		w.Header().Set("ETag", strconv.Quote(strconv.Itoa(file.Len())))
		http.ServeContent(w, r, "x.zip", time.Time{}, bytes.NewReader(file.Bytes()))
	}))
	defer server.Close()
	publish(300)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	g := gatewaytest.Start(t, map[string]string{
		"balorg.yaml":     gatewaytest.Balorg + "directory: {national: {url: " + server.URL + "/x.zip, ca: national-ca.pem}}\n",
		"national-ca.pem": string(ca),
	}, claire)
	served := func() int { return int(g.Metrics()["balorg_ldapserver_national_entries_count"]) }
	g.Eventually("an import", func() bool { return served() > 250 })
	look := func() (stages []string, result *gateway.ImportResult) {
		t.Helper()
		err := g.Call(gateway.OpDirectoryImport, gateway.ImportArgs{}, func(v json.RawMessage) {
			var news gateway.ImportNews
			if err := json.Unmarshal(v, &news); err != nil {
				t.Error(err)
			}
			if news.Stage != nil && !slices.Contains(stages, news.Stage.Name) {
				stages = append(stages, news.Stage.Name)
			}
			if news.Result != nil {
				result = news.Result
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return stages, result
	}
	g.Eventually("the end of the first import", func() bool {
		err := g.Call(gateway.OpDirectoryImport, gateway.ImportArgs{}, nil)
		return err == nil || !strings.Contains(err.Error(), "under way")
	})
	if _, result := look(); result == nil || result.Taken {
		t.Errorf("unchanged: %+v", result)
	}
	before := served()
	publish(320)
	if stages, result := look(); result == nil || !result.Taken || !slices.Equal(stages, []string{"fetching", "reading", "sorting"}) {
		t.Errorf("stages %v, %+v", stages, result)
	}
	if served() <= before {
		t.Errorf("%d entries, before %d", served(), before)
	}
	mu.Lock()
	defer mu.Unlock()
	gets := 0
	for _, method := range asked {
		if method == http.MethodGet {
			gets++
		}
	}
	if gets != 2 {
		t.Errorf("asked %v", asked)
	}
}

// TestImportRelative: whoever speaks with the daemon stands in another folder than it does.
func TestImportRelative(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	for _, args := range []gateway.ImportArgs{{File: "extraction.txt"}, {URL: "ftp://annuaire.example.org/x"}, {URL: "https://user:password@annuaire.example.org/x"}} {
		if err := g.Call(gateway.OpDirectoryImport, args, nil); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: %v", args, err)
		}
	}
}
