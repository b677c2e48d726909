package gateway

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
)

// publisher is a server with one file, which it counts the requests for.
type publisher struct {
	*httptest.Server

	mu         sync.Mutex
	file       []byte
	name, etag string
	gets       int
	heads      int
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodHead {
		p.heads++
	} else {
		p.gets++
	}
	if p.file == nil {
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("ETag", p.etag)
	w.Header().Set("Content-Disposition", "attachment; filename="+p.name)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.file)))
	if r.Method != http.MethodHead {
		w.Write(p.file)
	}
}

// publish puts a file of so many rows, made then, in the place of the one that is there; no rows take it away.
func (p *publisher) publish(t *testing.T, rows int, made time.Time) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = nil
	if rows == 0 {
		return
	}
	var b bytes.Buffer
	if err := sample.Write(&b, sample.Options{Rows: rows, Seed: 1, Date: made}); err != nil {
		t.Fatal(err)
	}
	p.file, p.name = b.Bytes(), extraction.FileName(made)
	p.etag = strconv.Quote(strconv.Itoa(rows) + p.name)
}

// asked answers how often the file and its header were asked for since the last call.
func (p *publisher) asked() (gets, heads int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gets, heads = p.gets, p.heads
	p.gets, p.heads = 0, 0
	return gets, heads
}

// published is a gateway's configuration whose national directory is fetched from a server.
func published(t *testing.T) (*publisher, map[string]string) {
	t.Helper()
	p := new(publisher)
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	files := withDemo(t, bare+"directory: {national: {url: "+strconv.Quote(p.URL+"/extraction?key=secret")+", ca: ca.pem}}\n")
	files["ca.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	return p, files
}

func (g *Gateway) importFailed(t *testing.T) float64 {
	t.Helper()
	families, err := g.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "balorg_gateway_import_failed_bool" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no such gauge")
	return 0
}

// TestTurns: what the schedule does with each state of its source.
func TestTurns(t *testing.T) {
	p, files := published(t)
	g, dir := newGateway(t, files)
	made := time.Date(2026, 11, 2, 4, 0, 0, 0, time.UTC)
	entries := 0
	turn := func(what string, force bool, want error, taken bool, gets, heads int) {
		t.Helper()
		out, err := g.imports.run(t.Context(), order{source: g.imports.source(), turn: true, force: force})
		if !failedAs(err, want) || out.taken != taken {
			t.Errorf("%s: taken %v, %v; want %v, %v", what, out.taken, err, taken, want)
		}
		if g, h := p.asked(); g != gets || h != heads {
			t.Errorf("%s: %d times the file, %d its header; want %d, %d", what, g, h, gets, heads)
		}
		if alarm := g.importFailed(t); alarm != 0 != (want != nil) {
			t.Errorf("%s: the alarm is %v", what, alarm)
		}
		if taken {
			entries = out.next.Entries
		}
		if v := g.directory.View(); (v.National != nil) != (entries > 0) || v.National != nil && int(v.National.Index.Len()) != entries {
			t.Errorf("%s: the directory is not the one with %d entries", what, entries)
		}
	}
	turn("the server is down", false, errAny, false, 1, 0)
	p.publish(t, 1000, made)
	turn("at first", false, nil, true, 1, 0)
	turn("unchanged", false, nil, false, 0, 1)
	p.publish(t, 1010, made.Add(24*time.Hour))
	turn("a new file", false, nil, true, 1, 1)
	p.publish(t, 500, made.Add(48*time.Hour))
	turn("shrunk", false, directory.ErrShrunk, false, 1, 1)
	turn("still shrunk", false, directory.ErrShrunk, false, 0, 1)
	p.publish(t, 0, made)
	turn("the server is down again", false, errAny, false, 0, 1)
	p.publish(t, 500, made.Add(48*time.Hour))
	turn("forced", true, nil, true, 1, 0)
	turn("unchanged since it was forced", false, nil, false, 0, 1)
	p.publish(t, 510, made)
	turn("older", false, nil, false, 1, 1)
	turn("still older", false, nil, false, 0, 1)
	p.publish(t, 0, made)
	turn("down", false, errAny, false, 0, 1)

	g.stop()
	again, err := New(Options{ConfigPath: filepath.Join(dir, "balorg.yaml"), Logger: g.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.stop)
	g = again
	if g.importFailed(t) != 1 {
		t.Error("a restart ends the alarm")
	}
	p.publish(t, 510, made)
	turn("unchanged over a restart", false, nil, false, 0, 1)
	p.publish(t, 520, made.Add(72*time.Hour))
	turn("a new file after a restart", false, nil, true, 1, 1)
	left, err := filepath.Glob(filepath.Join(dir, "state", directoryFolder, fetchPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if current, err := g.imports.importer.Current(t.Context()); err != nil || current.Source != p.URL+"/extraction" {
		t.Errorf("the source is told as %q, %v", current.Source, err)
	}
}

// errAny stands for whatever error.
var errAny = errors.New("any")

func failedAs(err, want error) bool {
	if errors.Is(want, errAny) {
		return err != nil
	}
	return errors.Is(err, want)
}

// TestFileTurns: a file on disk is taken when its time or size has changed.
func TestFileTurns(t *testing.T) {
	files := withDemo(t, bare+"directory: {national: {file: national.txt}}\n")
	files["national.txt"] = string(extractionOf(t, 300))
	g, dir := newGateway(t, files)
	path := filepath.Join(dir, "national.txt")
	turn := func(what string, taken bool, want error) {
		t.Helper()
		out, err := g.imports.run(t.Context(), order{source: g.imports.source(), turn: true})
		if out.taken != taken || !errors.Is(err, want) {
			t.Errorf("%s: taken %v, %v; want %v, %v", what, out.taken, err, taken, want)
		}
	}
	turn("at first", true, nil)
	turn("unchanged", false, nil)
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	turn("touched", true, nil)
	if current, err := g.imports.importer.Current(t.Context()); err != nil || !current.Date.Equal(later) {
		t.Errorf("it is of %v, %v; want its time on disk, %v", current.Date, err, later)
	}
	put(t, path, string(extractionOf(t, 300)[:5000]))
	turn("cut", false, extraction.ErrTruncated)
	turn("still cut", false, extraction.ErrTruncated)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	turn("gone", false, os.ErrNotExist)
	if g.importFailed(t) != 1 {
		t.Error("no alarm")
	}
	put(t, path, string(extractionOf(t, 310)))
	if err := os.Chtimes(path, later.Add(time.Hour), later.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	turn("back", true, nil)
	if g.importFailed(t) != 0 {
		t.Error("the alarm goes on")
	}
}

func extractionOf(t *testing.T, rows int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Write(&b, sample.Options{Rows: rows, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOneImport: while one is under way, another is refused and no alarm of it.
func TestOneImport(t *testing.T) {
	files := withDemo(t, bare+"directory: {national: {file: national.txt}}\n")
	files["national.txt"] = string(extractionOf(t, 300))
	g, _ := newGateway(t, files)
	var second error
	_, err := g.imports.run(t.Context(), order{source: g.imports.source(), progress: func(directory.Stage) {
		if g.imports.running() == nil {
			t.Error("nobody knows of it")
		}
		if second == nil {
			_, second = g.imports.run(t.Context(), order{source: g.imports.source(), turn: true})
		}
	}})
	if err != nil || !errors.Is(second, directory.ErrRunning) || g.importFailed(t) != 0 {
		t.Errorf("%v, the second: %v", err, second)
	}
}

// TestSchedule: when the source is looked at.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wake := make(chan struct{})
		start := time.Now()
		var at []time.Duration
		outcomes := []error{errAny, errAny, errAny, nil, directory.ErrRunning, nil, nil}
		go repeat(ctx, wake, func() (time.Duration, error) {
			at = append(at, time.Since(start))
			if len(at) > len(outcomes) {
				return 0, nil
			}
			return 24 * time.Hour, outcomes[len(at)-1]
		})
		<-time.After(30 * 24 * time.Hour) // of the bubble
		synctest.Wait()
		want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 24 * time.Hour, time.Minute, 24 * time.Hour, 24 * time.Hour}
		if len(at) != len(want)+1 || at[0] != 0 {
			t.Fatalf("looked at %v", at)
		}
		for i, least := range want {
			if waited := at[i+1] - at[i]; waited < least || waited > least+least/10 {
				t.Errorf("wait %d: %v, want %v and a tenth more at most", i, waited, least)
			}
		}
		wake <- struct{}{}
		synctest.Wait()
		if len(at) != len(want)+2 {
			t.Error("it does not wake")
		}
	})
}

// TestUnreadable: the shell's user may read what the daemon's may not.
func TestUnreadable(t *testing.T) {
	err := readable(&os.PathError{Op: "open", Path: "/srv/x.zip", Err: os.ErrPermission})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "/srv/x.zip") || !strings.Contains(err.Error(), "copy it to where") {
		t.Error(err)
	}
}
