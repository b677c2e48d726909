package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/policy/session"
	"balorg/smtp"
	"balorg/smtp/wire"
)

// sink is the demo's next hop: it takes what leaves the platform and keeps each message as a file, so that one can look at what other
// operators would get.
type sink struct {
	folder string
	server *server
}

// sinkFolder, in the demo's folder, holds the messages.
const sinkFolder = "sink"

// newSink listens; run serves.
func newSink(dir, address string, cert tls.Certificate, log *slog.Logger) (*sink, error) {
	s := &sink{folder: filepath.Join(dir, sinkFolder)}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the sink's folder: %w", err)
	}
	mail := smtp.New(smtp.Options{
		Services: map[smtp.Role]smtp.Service{smtp.Inbound: {
			TLS:        &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
			NewHandler: func(*smtp.Client) smtp.Handler { return sinkHandler{s.folder} },
		}},
		Sessions: &session.Table{}, Logger: log, Metrics: prometheus.NewRegistry(), Hostname: "sink.example",
	})
	s.server = &server{
		name: "sink", refusal: "421 Too many connections\r\n", max: defaultSMTPConnections, perAddress: defaultSMTPConnections, log: log,
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"}),
		serve:   func(ctx context.Context, conn net.Conn) { mail.Serve(ctx, conn, smtp.Inbound) },
	}
	if err := s.server.listen([]string{address}); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *sink) address() string { return s.server.addresses()[0] }

// run serves until ctx ends.
func (s *sink) run(ctx context.Context) {
	s.server.start(ctx)
	<-ctx.Done()
	s.server.closeListeners()
	s.server.drain()
}

// sinkHandler keeps messages as files.
type sinkHandler struct{ folder string }

func (sinkHandler) Mail(context.Context, wire.Sender) error    { return nil }
func (sinkHandler) Rcpt(context.Context, wire.Recipient) error { return nil }

// Data implements smtp.Handler. The file begins with the envelope.
func (h sinkHandler) Data(_ context.Context, env *wire.Envelope, content io.Reader) ([]wire.Reply, error) {
	name := filepath.Join(h.folder, session.NewID()+".eml")
	f, err := os.OpenFile(name+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // closed below where that matters
	var to []string
	for _, r := range env.To {
		to = append(to, string(r.Address))
	}
	_, err = fmt.Fprintf(f, "X-Envelope-From: <%s>\r\nX-Envelope-To: <%s>\r\n", env.From.Address, strings.Join(to, ">, <"))
	if err == nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		os.Remove(name + ".part") //nolint:errcheck // the first error counts
		return nil, err
	}
	if err := os.Rename(name+".part", name); err != nil {
		return nil, err
	}
	return []wire.Reply{*wire.NewReply(250, "2.0.0", "Ok: kept as %s", filepath.Base(name))}, nil
}
