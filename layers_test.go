// Package balorg_test holds the tests about the code itself: who imports whom, how long files and functions get. Changing the
// architecture is a visible change of the tables here.
package balorg_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers says which top folders of ours each top folder may import, itself included where it may.
var layers = map[string][]string{
	"mail":       {"mail"},
	"configs":    {"configs", "mail"},
	"policy":     {"policy", "configs", "mail"},
	"store":      {"store", "mail"},
	"imapproxy":  {"imapproxy", "policy", "store", "mail", "configs"},
	"smtp":       {"smtp", "policy", "store", "mail", "configs"},
	"ldapserver": {"ldapserver", "policy", "store", "mail", "configs"},
	"gateway":    {"gateway", "imapproxy", "smtp", "ldapserver", "policy", "store", "mail", "configs"},
	"cmd":        {"gateway", "configs", "policy", "mail"},
	"e2e":        {"e2e", "gateway", "imapproxy", "ldapserver", "policy", "store", "mail", "configs"},
	"bench":      {"bench", "gateway", "imapproxy", "ldapserver", "policy", "store", "mail", "configs"},
}

// composing folders put their sub-packages together: these never import their root.
var composing = []string{"gateway", "imapproxy", "smtp", "ldapserver"}

// owners says which folders alone may import a library, in code and in tests alike.
var owners = map[string][]string{
	"github.com/dgraph-io/badger":     {"store"},
	"github.com/chromedp":             {"e2e"},
	"go.yaml.in/yaml":                 {"configs"},
	"github.com/emersion/go-imap":     {"imapproxy", "gateway", "e2e", "bench"},
	"github.com/emersion/go-sasl":     {"imapproxy", "smtp", "gateway", "e2e", "bench"},
	"github.com/emersion/go-smtp":     {"smtp", "gateway", "e2e", "bench"},
	"github.com/coreos/go-oidc":       {"policy/auth", "gateway"},
	"github.com/zitadel/oidc":         {"policy/auth", "gateway", "e2e"},
	"github.com/go-jose/go-jose":      {"policy/auth", "gateway", "e2e"},
	"github.com/go-asn1-ber":          {"ldapserver"},
	"github.com/go-ldap":              {"ldapserver", "policy/auth", "gateway", "e2e", "bench"},
	"github.com/klauspost/compress":   {"imapproxy"},
	"github.com/fsnotify/fsnotify":    {"gateway"},
	"github.com/xuri/excelize":        {"gateway"},
	"github.com/prometheus":           {"gateway", "imapproxy", "smtp", "ldapserver"},
	"golang.org/x/crypto":             {"policy/auth"},
	"golang.org/x/term":               {"cmd"},
	"github.com/rogpeppe/go-internal": {"cmd"},
	"github.com/google/go-cmp":        {""},
	"pgregory.net/rapid":              {"store", "imapproxy", "policy", "smtp", "configs"},
	"golang.org/x/net/idna":           {"mail"},
	"golang.org/x/net/html":           {"imapproxy"},
	"golang.org/x/text":               {"imapproxy", "ldapserver", "store", "mail", "policy", "smtp", "gateway/sheet"},
	"golang.org/x/sys":                {"store", "ldapserver", "gateway", "cmd", "e2e", "bench"},
	"github.com/pkg/errors":           nil,
	"gopkg.in/yaml.v3":                nil,
}

// Lengths: aim at 400 lines a file and 60 a function; these are the hard stops.
const (
	maxFile     = 800
	maxFunction = 100
)

// source is one Go file of the tree.
type source struct {
	path string // slash-separated, from the root
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(p), f, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(all))
	}
	return all
}

func within(folder, of string) bool {
	return folder == of || strings.HasPrefix(folder, of+"/") || of == ""
}

func TestLayers(t *testing.T) {
	for _, src := range sources(t) {
		folder := path.Dir(src.path)
		if folder == "." {
			continue
		}
		for _, spec := range src.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := forbidden(folder, imported, strings.HasSuffix(src.path, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", src.path, imported, why)
			}
		}
	}
}

func forbidden(folder, imported string, test bool) string {
	if ours, ok := strings.CutPrefix(imported, "balorg/"); ok {
		return forbiddenOurs(folder, ours, test)
	}
	if !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return "" // the standard library
	}
	for library, folders := range owners {
		if !strings.HasPrefix(imported, library) {
			continue
		}
		for _, owner := range folders {
			if within(folder, owner) {
				return ""
			}
		}
		return "the library belongs to " + strings.Join(folders, ", ")
	}
	return "the library stands in no line of owners"
}

func forbiddenOurs(folder, imported string, test bool) string {
	top, _, _ := strings.Cut(folder, "/")
	allowed, known := layers[top]
	if !known {
		return "the folder stands in no line of layers"
	}
	importedTop, _, _ := strings.Cut(imported, "/")
	found := false
	for _, a := range allowed {
		found = found || a == importedTop
	}
	if !found {
		return "not a layer below"
	}
	if test && strings.HasSuffix(imported, "test") {
		return ""
	}
	for _, c := range composing {
		if top == c && imported == c && folder != c && !strings.HasSuffix(folder, "test") {
			return "a part never imports the folder that composes it"
		}
	}
	return ""
}

func TestPackageComments(t *testing.T) {
	commented := map[string]bool{}
	for _, src := range sources(t) {
		if strings.HasSuffix(src.path, "_test.go") {
			continue
		}
		dir := path.Dir(src.path)
		commented[dir] = commented[dir] || src.file.Doc != nil
	}
	for dir, ok := range commented {
		if !ok {
			t.Errorf("%s: no file has a package comment", dir)
		}
	}
}

func TestLengths(t *testing.T) {
	for _, src := range sources(t) {
		if n := src.set.File(src.file.Pos()).LineCount(); n > maxFile {
			t.Errorf("%s has %d lines, more than %d", src.path, n, maxFile)
		}
		if strings.HasSuffix(src.path, "_test.go") {
			continue
		}
		for _, decl := range src.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := src.set.Position(fn.Pos()).Line, src.set.Position(fn.End()).Line
			if to-from+1 > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", src.path, from, fn.Name.Name, to-from+1, maxFunction)
			}
		}
	}
}

func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		folder, imported string
		want             bool
	}{
		{"imapproxy", "balorg/smtp", true},
		{"imapproxy/wire", "balorg/imapproxy", true},
		{"policy/auth", "balorg/policy", false},
		{"policy", "balorg/store", true},
		{"store/mailbox", "balorg/store/body", false},
		{"mail", "balorg/store", true},
		{"gateway", "github.com/dgraph-io/badger/v4", true},
		{"store", "github.com/dgraph-io/badger/v4", false},
		{"imapproxy", "github.com/unknown/thing", true},
		{"imapproxy", "net", false},
	} {
		if got := forbidden(tt.folder, tt.imported, false) != ""; got != tt.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", tt.folder, tt.imported, got, tt.want)
		}
	}
}
