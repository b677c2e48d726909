package fetch

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// started is a server with a handler, and a client that trusts it alone.
func started(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, New(Options{Roots: rootsOf(server)})
}

func rootsOf(server *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

// various answers in as many ways as a test needs, by path.
func various(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	switch name {
	case "good":
		io.WriteString(w, "ten octets")
	case "streamed":
		io.WriteString(w, "ten ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "octets")
	case "cut":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "ten octets")
	case "cut-stream":
		io.WriteString(w, "ten octets")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "gone":
		http.Error(w, "", http.StatusGone)
	case "moved":
		http.Redirect(w, r, "/good", http.StatusFound)
	case "round":
		http.Redirect(w, r, "/round", http.StatusFound)
	case "packed":
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "ten octets")
	case "as-it-was":
		w.WriteHeader(http.StatusNotModified)
	case "partial":
		w.WriteHeader(http.StatusPartialContent)
	case "late":
		<-r.Context().Done()
	case "slow":
		io.WriteString(w, "ten ")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case "broken":
		http.Error(w, "secret details", http.StatusServiceUnavailable)
	default:
		http.NotFound(w, r)
	}
}

func TestFetch(t *testing.T) {
	server, client := started(t, various)
	elsewhere := httptest.NewServer(http.HandlerFunc(various))
	defer elsewhere.Close()
	down, _ := started(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/good", http.StatusFound)
	})
	both := rootsOf(server)
	both.AddCert(down.Certificate())
	for _, test := range []struct {
		url   string
		limit int64
		want  string // of the error
		is    error
	}{
		{url: server.URL + "/good", limit: 10},
		{url: server.URL + "/streamed", limit: 10},
		{url: server.URL + "/moved", limit: 10},
		{url: server.URL + "/good?token=secret", limit: 10},
		{url: server.URL + "/good", limit: 9, want: "larger than 9"},
		{url: server.URL + "/streamed", limit: 9, want: "larger than 9"},
		{url: server.URL + "/cut", limit: 100, is: ErrTruncated},
		{url: server.URL + "/cut", limit: 99, want: "larger than 99"},
		{url: server.URL + "/cut-stream", limit: 100, is: ErrTruncated},
		{url: server.URL + "/absent", limit: 10, is: fs.ErrNotExist},
		{url: server.URL + "/gone", limit: 10, is: fs.ErrNotExist},
		{url: server.URL + "/round", limit: 10, is: errRedirect},
		{url: server.URL + "/packed", limit: 10, is: errPacked},
		{url: server.URL + "/as-it-was", limit: 10, want: "304"},
		{url: server.URL + "/partial", limit: 10, want: "206"},
		{url: server.URL + "/broken?token=secret", limit: 10, want: "503 Service Unavailable"},
		{url: down.URL + "/x", limit: 10, is: errScheme},
		{url: elsewhere.URL + "/good", limit: 10, is: errScheme},
		{url: "https://secret@", limit: 10, is: errScheme},
		{url: "https://a.fr/%zz?token=secret", limit: 10, want: "cannot be read"},
		{url: "https://127.0.0.1:1/x", limit: 10, want: "refused"},
	} {
		client.opt.Roots = both
		content, err := client.Fetch(t.Context(), test.url, test.limit)
		if test.want == "" && test.is == nil {
			if err != nil || string(content) != "ten octets" {
				t.Errorf("%s: %q, %v", test.url, content, err)
			}
			continue
		}
		if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v", test.url, content, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || len(content) > 0) {
			t.Errorf("%s: %q, %v", test.url, content, err)
		}
	}
}

// TestPinned: neither the system's authorities nor another pinned one make a server trusted.
func TestPinned(t *testing.T) {
	server, _ := started(t, various)
	for name, roots := range map[string]*x509.CertPool{"the system's": nil, "none": x509.NewCertPool()} {
		_, err := New(Options{Roots: roots}).Fetch(t.Context(), server.URL+"/good", 10)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "(ca)") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimeouts(t *testing.T) {
	server, client := started(t, various)
	const short = 50 * time.Millisecond
	client.opt.HeaderTimeout = short
	if _, err := client.Fetch(t.Context(), server.URL+"/late", 10); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("an answer that does not begin: %v", err)
	}
	client = New(Options{Roots: client.opt.Roots, Timeout: 4 * short})
	for _, path := range []string{"/late", "/slow"} {
		if _, err := client.Fetch(t.Context(), server.URL+path, 10); !errors.Is(err, errTimeout) {
			t.Errorf("%s: %v", path, err)
		}
	}
	client = New(Options{Roots: client.opt.Roots})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Fetch(ended, server.URL+"/good", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	hasty, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if _, err := client.Fetch(hasty, server.URL+"/slow", 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's deadline: %v", err)
	}
}

// shelf publishes one file, with as much about it as a test wants.
type shelf struct {
	content              string
	etag, modified, name string
	noHead               int // the status of what answers HEAD
	asked                []string
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Method)
	if r.Method == http.MethodHead && s.noHead != 0 {
		w.WriteHeader(s.noHead)
		return
	}
	for name, value := range map[string]string{"ETag": s.etag, "Last-Modified": s.modified} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	if s.name != "" {
		w.Header().Set("Content-Disposition", "attachment; filename="+s.name)
	}
	if s.etag != "" && r.Header.Get("If-None-Match") == s.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(s.content)))
	if r.Method != http.MethodHead {
		io.WriteString(w, s.content)
	}
}

func TestDownload(t *testing.T) {
	const modified, later = "Wed, 26 Aug 2026 08:15:48 GMT", "Thu, 27 Aug 2026 08:15:48 GMT"
	const name, next = "Extraction_Correspondance_MSSante_202608261013.zip", "Extraction_Correspondance_MSSante_202608271013.zip"
	for what, test := range map[string]struct {
		first, then shelf
		fetched     bool
		asked       string
	}{
		"the same tag":                {shelf{content: "a", etag: `"1"`}, shelf{content: "a", etag: `"1"`}, false, "GET HEAD"},
		"another tag":                 {shelf{content: "a", etag: `"1"`}, shelf{content: "b", etag: `"2"`}, true, "GET HEAD GET"},
		"the same time":               {shelf{content: "a", modified: modified}, shelf{content: "a", modified: modified}, false, "GET HEAD"},
		"another time":                {shelf{content: "a", modified: modified}, shelf{content: "b", modified: later}, true, "GET HEAD GET"},
		"the same time, another size": {shelf{content: "a", modified: modified}, shelf{content: "bb", modified: modified}, true, "GET HEAD GET"},
		"the same name":               {shelf{content: "a", name: name}, shelf{content: "a", name: name}, false, "GET HEAD"},
		"another name":                {shelf{content: "a", name: name}, shelf{content: "b", name: next}, true, "GET HEAD GET"},
		"a name without a date":       {shelf{content: "a", name: "x.zip"}, shelf{content: "b", name: "x.zip"}, true, "GET HEAD GET"},
		"nothing but a size":          {shelf{content: "a"}, shelf{content: "b"}, true, "GET HEAD GET"},
		"no more tag":                 {shelf{content: "a", etag: `"1"`}, shelf{content: "b"}, true, "GET HEAD GET"},
		"no HEAD":                     {shelf{content: "a", etag: `"1"`}, shelf{content: "a", etag: `"1"`, noHead: 405}, false, "GET HEAD GET"},
		"no HEAD, another tag":        {shelf{content: "a", etag: `"1"`}, shelf{content: "b", etag: `"2"`, noHead: 403}, true, "GET HEAD GET"},
	} {
		s := test.first
		server, client := started(t, s.ServeHTTP)
		folder := t.TempDir()
		r := Request{URL: server.URL + "/file", Folder: folder, Limit: 10}
		got, err := client.Download(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if content, err := os.ReadFile(got.Path); err != nil || string(content) != test.first.content {
			t.Errorf("%s: %q, %v", what, content, err)
		}
		asked := s.asked
		s = test.then
		s.asked = asked
		r.Known = got.Version
		got, err = client.Download(t.Context(), r)
		if (got.Path != "") != test.fetched || err != nil || strings.Join(s.asked, " ") != test.asked {
			t.Errorf("%s: %+v, %v, asked %v", what, got, err, s.asked)
		}
		if got.Version != (Version{test.then.etag, test.then.modified, int64(len(test.then.content)), cmp.Or(test.then.name, "file")}) {
			t.Errorf("%s: the version is %+v", what, got.Version)
		}
		want := 1
		if test.fetched {
			want = 2
		}
		if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != want {
			t.Errorf("%s: %q are there", what, left)
		}
	}
}

func TestDownloadFails(t *testing.T) {
	server, client := started(t, various)
	folder := t.TempDir()
	for path, want := range map[string]string{
		"/cut": "cut after 10", "/cut-stream": "cut after", "/good": "larger than 9", "/absent": "404", "/broken": "503", "/packed": "packs",
	} {
		r := Request{URL: server.URL + path, Folder: folder, Limit: 200}
		if path == "/good" {
			r.Limit = 9
		}
		for _, r.Known = range []Version{{}, {ETag: `"1"`, Name: "x"}} {
			if got, err := client.Download(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) || got != (Download{}) {
				t.Errorf("%s: %+v, %v", path, got, err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := client.Download(t.Context(), Request{URL: server.URL + "/good", Folder: filepath.Join(folder, "absent"), Limit: 10}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestProgress(t *testing.T) {
	s := shelf{content: strings.Repeat("x", 3<<20)}
	server, client := started(t, s.ServeHTTP)
	var last int64
	told := 0
	got, err := client.Download(t.Context(), Request{URL: server.URL, Folder: t.TempDir(), Limit: 4 << 20, Tell: func(read, total int64) {
		if read <= last || total != int64(len(s.content)) {
			t.Errorf("%d of %d after %d", read, total, last)
		}
		last, told = read, told+1
	}})
	if err != nil || last != int64(len(s.content)) || told < 3 || got.Version.Name != "" {
		t.Errorf("%d octets in %d steps, %+v, %v", last, told, got, err)
	}
}

// TestNames: a server's name for a file never leads anywhere.
func TestNames(t *testing.T) {
	for given, want := range map[string]string{
		`a.zip`: "a.zip", `"../../etc/passwd"`: "passwd", `"C:\\x\\a.zip"`: "a.zip", `".."`: "", `"/"`: "", `""`: "file", `"x`: "file",
	} {
		s := shelf{name: given}
		server, client := started(t, s.ServeHTTP)
		got, err := client.Download(t.Context(), Request{URL: server.URL + "/file", Folder: t.TempDir(), Limit: 10})
		if err != nil || got.Version.Name != want {
			t.Errorf("%s is %q, not %q, %v", given, got.Version.Name, want, err)
		}
	}
}
