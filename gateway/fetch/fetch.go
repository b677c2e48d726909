// Package fetch takes files that others publish over HTTPS: the whitelist, the national directory.
//
// Invariants: HTTPS only, on every step of a redirection; the server's certificate is vouched for by the pinned authority where there is one, and by
// no other; every read has a deadline and a size limit; what is answered is whole, as far as the server says how long it is. What a server says
// is looked at first, so that a file that has not changed is not fetched again.
package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits on every exchange.
const (
	DefaultHeaderTimeout = 30 * time.Second // until the server begins to answer
	DefaultTimeout       = 5 * time.Minute  // of all of it
	maxRedirects         = 3
	maxHeader            = 64 << 10
)

// Options are what a Client works with. The zero value is ready.
type Options struct {
	Roots         *x509.CertPool // who alone may vouch for a server; nil: whom the system trusts
	HeaderTimeout time.Duration
	Timeout       time.Duration
}

// Client takes files. It keeps no connection between two calls, and may be used by several goroutines.
type Client struct {
	opt Options
}

var (
	errScheme   = errors.New("it is not an https address")
	errRedirect = errors.New("the server sends us elsewhere too often")
	errTimeout  = errors.New("it takes too long")
	// errPacked: the length of what comes would say nothing, and unpacking has no limit of ours.
	errPacked = errors.New("the server packs what it was asked to send as it is")
)

// New answers a Client.
func New(opt Options) *Client {
	opt.HeaderTimeout = cmp.Or(opt.HeaderTimeout, DefaultHeaderTimeout)
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	return &Client{opt}
}

// Fetch answers the octets of a URL, and an error when there are more than limit. What is not there is fs.ErrNotExist.
func (c *Client) Fetch(ctx context.Context, address string, limit int64) ([]byte, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	x := c.open()
	defer x.CloseIdleConnections()
	resp, err := ask(ctx, x, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	var content []byte
	err = receive(ctx, resp, limit, func(body io.Reader) (n int64, err error) {
		content, err = io.ReadAll(body)
		return int64(len(content)), err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Shown(address), err)
	}
	return content, nil
}

func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.opt.Timeout, fmt.Errorf("%w: more than %v", errTimeout, c.opt.Timeout))
}

func (c *Client) open() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: c.opt.HeaderTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.opt.Roots},
			TLSHandshakeTimeout:    c.opt.HeaderTimeout,
			ResponseHeaderTimeout:  c.opt.HeaderTimeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case r.URL.Scheme != "https":
				return errScheme
			case len(via) > maxRedirects:
				return errRedirect
			}
			return nil
		},
	}
}

// ask sends a request and answers a good response, whose body the caller closes.
func ask(ctx context.Context, client *http.Client, method, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err == nil && (req.URL.Scheme != "https" || req.URL.Host == "") {
		err = errScheme
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Shown(address), inner(err))
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Shown(address), explained(ctx, err))
	}
	if err := statusError(resp); err != nil {
		resp.Body.Close() //nolint:errcheck // nothing was wanted of it
		return nil, fmt.Errorf("%s: %w", Shown(address), err)
	}
	return resp, nil
}

// The conditions under which a server need not send what we have.
const (
	ifNoneMatch     = "If-None-Match"
	ifModifiedSince = "If-Modified-Since"
)

// statusError answers nil for an answer that can be used.
func statusError(resp *http.Response) error {
	asked := resp.Request.Header
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusNotModified && (asked.Get(ifNoneMatch) != "" || asked.Get(ifModifiedSince) != ""):
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("the server answers %s: %w", resp.Status, fs.ErrNotExist)
	}
	return &StatusError{resp.StatusCode, resp.Status}
}

// StatusError is an answer that is neither the file nor that there is none.
type StatusError struct {
	Code   int
	Status string
}

func (e *StatusError) Error() string { return "the server answers " + e.Status }

// receive gives take the body of an answer, and checks that it has come whole.
func receive(ctx context.Context, resp *http.Response, limit int64, take func(io.Reader) (int64, error)) error {
	if resp.Header.Get("Content-Encoding") != "" {
		return errPacked
	}
	if resp.ContentLength > limit {
		return tooLarge(limit)
	}
	n, err := take(io.LimitReader(resp.Body, limit+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && n < resp.ContentLength:
		return fmt.Errorf("%w after %d octets", ErrTruncated, n)
	case err != nil:
		return explained(ctx, err)
	case ctx.Err() != nil: // a server that is told so may end its answer as if it were whole
		return explained(ctx, ctx.Err())
	case n > limit:
		return tooLarge(limit)
	}
	return nil
}

// ErrTruncated is an answer that ends before its end.
var ErrTruncated = errors.New("the connection was cut")

func tooLarge(limit int64) error { return fmt.Errorf("it is larger than %d octets", limit) }

// explained puts into an error of the HTTP client what an administrator can do about it, and takes the URL off, which is named before.
func explained(ctx context.Context, err error) error {
	err = inner(err)
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: the authority that is named for the address (ca) does not vouch for the server", err)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	case errors.Is(context.Cause(ctx), errTimeout):
		return context.Cause(ctx)
	}
	return err
}

func inner(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

// Shown is an address without what may be secret in it.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
