package notice

import (
	"context"
	"log/slog"
	"strings"

	"balorg/mail"
	"balorg/smtp/queue"
	"balorg/smtp/wire"
)

// Carrier carries notices by a way of their own. They go to ordinary addresses, which the trust space does not hold: what keeps
// everything else within it is asked nowhere here, so that nothing but notices may take this way.
func (s *Service) Carrier(hop Hop) queue.Carrier { return carrier{s, hop} }

type carrier struct {
	s   *Service
	hop Hop
}

// Destination implements queue.Carrier.
func (c carrier) Destination(it queue.Item) string { return c.hop.Destination(it.Recipient.Address) }

// Carry implements queue.Carrier.
func (c carrier) Carry(ctx context.Context, d queue.Delivery) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(d.Items))
	left := d
	left.Items = nil
	var going []int
	for i, it := range d.Items {
		if o, stop := c.hold(d.Message, it); stop {
			outcomes[i] = o
			continue
		}
		going = append(going, i)
		left.Items = append(left.Items, it)
	}
	if len(going) == 0 {
		return outcomes
	}
	for j, o := range c.hop.Send(ctx, left) {
		outcomes[going[j]] = c.done(ctx, left.Items[j], o)
	}
	return outcomes
}

// hold tells whether a notice is not to be sent: it is none, is too old, or nobody wants it any more.
func (c carrier) hold(m queue.Message, it queue.Item) (o queue.Outcome, stop bool) {
	switch {
	case m.Origin != queue.Notice:
		return failed("5.7.1", "This way is for notifications"), true
	case strings.HasPrefix(it.Arg, letterArg):
		if c.s.now().Sub(m.Accepted) >= letterLife || !c.s.stillTo(it.Account, it.Recipient.Address) {
			return failed("5.7.1", "It is no longer wanted"), true
		}
		return o, false
	case c.s.now().Sub(m.Accepted) >= giveUp:
		c.s.metrics.notices.WithLabelValues(resultGivenUp).Inc()
		return failed("5.4.7", "Given up: it is too old"), true
	}
	who, wanted := c.s.address(c.s.opt.Snapshot(), pairOf(it))
	if !wanted || who.At != it.Recipient.Address {
		c.s.metrics.notices.WithLabelValues(resultWithdrawn).Inc()
		return failed("5.7.1", "It is no longer wanted"), true
	}
	return o, false
}

// done counts an outcome. From when a notice has been sent its reader has their rest. That is noted apart from the outcome, which must not
// be lost with it: the notice would be sent twice.
func (c carrier) done(ctx context.Context, it queue.Item, o queue.Outcome) queue.Outcome {
	if strings.HasPrefix(it.Arg, letterArg) {
		return o
	}
	switch o.Result {
	case queue.ResultDelivered:
		if err := c.s.change(ctx, c.s.opt.Store.Reclaim, pairOf(it), c.s.restTx); err != nil {
			c.s.log.WarnContext(ctx, "noting that a notification was sent; the next may come soon", slog.Any("error", err))
		}
		c.s.metrics.notices.WithLabelValues(resultSent).Inc()
	case queue.ResultFailed:
		c.s.metrics.notices.WithLabelValues(resultRefused).Inc()
	case queue.ResultDeferred, queue.ResultHeld:
	}
	return o
}

func pairOf(it queue.Item) pair { return pair{it.Account, mail.AccountID(it.Arg)} }

func failed(enhanced, text string) queue.Outcome {
	return queue.Outcome{Result: queue.ResultFailed, Reply: *wire.NewReply(550, enhanced, "%s", text)}
}

// NoCarrier gives up the notices that wait when the configuration has no section notifications any more.
type NoCarrier struct{}

// Destination implements queue.Carrier.
func (NoCarrier) Destination(queue.Item) string { return "" }

// Carry implements queue.Carrier.
func (NoCarrier) Carry(_ context.Context, d queue.Delivery) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(d.Items))
	for i := range outcomes {
		outcomes[i] = failed("5.3.5", "Nobody is notified any more")
	}
	return outcomes
}
