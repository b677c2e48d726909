package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
)

// A Version is what a server says of a file, by which a later one is told from it. The caller keeps it.
type Version struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Size         int64  `json:"size,omitempty"` // zero when it does not say
	Name         string `json:"name,omitempty"` // under which it wants the file to be kept
}

// Same tells whether a file has not changed since: nothing that both versions state differs, and something that they state would have changed. The size alone is
// not enough, and neither is a name, unless there is a date in it: the national directory's server gives nothing else.
func (v Version) Same(as Version) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	if differ(v.ETag, as.ETag) || differ(v.LastModified, as.LastModified) || differ(v.Name, as.Name) || v.Size != 0 && as.Size != 0 && v.Size != as.Size {
		return false
	}
	telling := func(a, b string) bool { return a != "" && a == b }
	return telling(v.ETag, as.ETag) || telling(v.LastModified, as.LastModified) || telling(v.Name, as.Name) && dated(v.Name)
}

// dated tells whether a name holds a date, year to day without anything between.
func dated(name string) bool {
	run := 0
	for _, r := range name {
		if r < '0' || r > '9' {
			run = 0
			continue
		}
		if run++; run == len("20261124") {
			return true
		}
	}
	return false
}

func versionOf(resp *http.Response) Version {
	v := Version{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"), Size: max(resp.ContentLength, 0)}
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		v.Name = params["filename"]
	}
	if v.Name == "" {
		v.Name = resp.Request.URL.Path
	}
	// However a server names it, it is never a path.
	if v.Name = path.Base(strings.ReplaceAll(v.Name, `\`, "/")); v.Name == "." || v.Name == "/" || v.Name == ".." {
		v.Name = ""
	}
	return v
}

// A Request is for a file that goes to disk.
type Request struct {
	URL    string
	Folder string                  // where it is put, under a name of its own
	Limit  int64                   // of its octets
	Known  Version                 // of what the caller has; zero when it has nothing
	Tell   func(read, total int64) // may be nil; total is zero when the server does not say
}

// A Download is what has come.
type Download struct {
	Path    string // which the caller removes; empty when nothing has changed since the known version
	Version Version
}

// Download asks what there is, and fetches it unless it is what the caller has. Nothing is left in the folder on an error.
func (c *Client) Download(ctx context.Context, r Request) (Download, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	client := c.open()
	defer client.CloseIdleConnections()
	header := make(http.Header)
	if r.Known != (Version{}) {
		head, err := peek(ctx, client, r.URL)
		switch {
		case err != nil:
			return Download{}, err
		case head.Same(r.Known):
			return Download{Version: head}, nil
		}
		for name, value := range map[string]string{ifNoneMatch: r.Known.ETag, ifModifiedSince: r.Known.LastModified} {
			if value != "" {
				header.Set(name, value)
			}
		}
	}
	resp, err := ask(ctx, client, http.MethodGet, r.URL, header)
	if err != nil {
		return Download{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode == http.StatusNotModified {
		return Download{Version: r.Known}, nil
	}
	name, err := store(ctx, resp, r)
	if err != nil {
		return Download{}, fmt.Errorf("%s: %w", Shown(r.URL), err)
	}
	return Download{Path: name, Version: versionOf(resp)}, nil
}

// peek asks for the header alone. A server that knows no such request says nothing, which is the zero version.
func peek(ctx context.Context, client *http.Client, address string) (Version, error) {
	resp, err := ask(ctx, client, http.MethodHead, address, nil)
	var status *StatusError
	switch {
	case errors.As(err, &status) && (status.Code == http.StatusMethodNotAllowed || status.Code == http.StatusNotImplemented || status.Code == http.StatusForbidden):
		return Version{}, nil
	case err != nil:
		return Version{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // there is none
	return versionOf(resp), nil
}

// store writes the body to a file of the folder.
func store(ctx context.Context, resp *http.Response, r Request) (_ string, err error) {
	file, err := os.CreateTemp(r.Folder, "fetch-*.part")
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(file.Name()) //nolint:errcheck // the error before says what is wrong
		}
	}()
	told := &teller{Writer: file, total: max(resp.ContentLength, 0), tell: r.Tell}
	err = receive(ctx, resp, r.Limit, func(body io.Reader) (int64, error) {
		return io.CopyBuffer(told, body, make([]byte, 256<<10))
	})
	return file.Name(), err
}

// teller tells how far a copy is.
type teller struct {
	io.Writer
	read, total int64
	tell        func(read, total int64)
}

func (t *teller) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.read += int64(n)
	if t.tell != nil {
		t.tell(t.read, t.total)
	}
	return n, err
}
