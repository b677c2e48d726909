package gateway

import (
	"context"
	"crypto/x509"
	"io"

	"balorg/mail"
	"balorg/smtp"
	"balorg/smtp/queue"
	"balorg/smtp/relay"
	"balorg/smtp/wire"
)

// relayFiles reads what the section relay names.
func (c *Config) relayFiles() relay.Files {
	return relay.Files{Path: c.path, Roots: loadRoots, Password: readPassword}
}

// newRelay makes the way to other operators.
func (g *Gateway) newRelay(cfg *Config) (smtp.Hop, error) {
	matches := func(domain string, cert *x509.Certificate) bool {
		return g.trust.Current().MatchesCertificate(domain, cert)
	}
	opt, err := cfg.Relay.Options(cfg.relayFiles(), matches)
	if err != nil {
		return nil, err
	}
	opt.Hostname, opt.Logger, opt.Metrics = cfg.Hostname.Or("localhost"), g.log, g.reg
	r := relay.New(opt)
	g.onStop(r.Close)
	return hop{r}, nil
}

// hop is a relay as the queue sees it.
type hop struct{ *relay.Relay }

// Destination implements smtp.Hop.
func (h hop) Destination(to mail.Address) string { return h.Relay.Destination(to) }

// Send implements smtp.Hop.
func (h hop) Send(ctx context.Context, d queue.Delivery) []queue.Outcome {
	to := make([]wire.Recipient, len(d.Items))
	for i, it := range d.Items {
		to[i] = it.Recipient
	}
	m := relay.Message{
		ID: string(d.Message.ID), Sender: d.Message.From, Size: d.Message.Size,
		Open: func() (io.ReadCloser, error) { return d.Open(ctx) },
	}
	outcomes := make([]queue.Outcome, len(to))
	for i, o := range h.Relay.Send(ctx, m, to) {
		outcomes[i] = queue.Outcome{
			Result: queueResult(o.Result), Reply: o.Reply, Peer: o.Peer, TLS: o.TLS, Relayed: o.Relayed, Unreachable: o.Unreachable,
		}
	}
	return outcomes
}

func queueResult(r relay.Result) queue.Result {
	switch r {
	case relay.Delivered:
		return queue.ResultDelivered
	case relay.Failed:
		return queue.ResultFailed
	case relay.Deferred:
	}
	return queue.ResultDeferred
}
