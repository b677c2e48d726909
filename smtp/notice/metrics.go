package notice

import "github.com/prometheus/client_golang/prometheus"

// What became of a notice.
const (
	resultQueued    = "queued"
	resultSent      = "sent"
	resultWithdrawn = "withdrawn" // nobody wanted it any more
	resultRefused   = "refused"   // by the way out
	resultGivenUp   = "given_up"
)

type metrics struct{ notices *prometheus.CounterVec }

// newMetrics registers them; a nil registerer registers nowhere.
func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{notices: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "balorg_smtp_notices_total", Help: "Notifications of received mail, by what became of them.",
	}, []string{"result"})}
	for _, result := range []string{resultQueued, resultSent, resultWithdrawn, resultRefused, resultGivenUp} {
		m.notices.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(m.notices)
	}
	return m
}
