package portal

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	logins   *prometheus.CounterVec
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_gateway_portal_requests_total", Help: "requests for pages, by the first digit of the answer's status",
		}, []string{"status"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_gateway_portal_logins_total", Help: "log-ins to the portal by outcome: ok, refused, temporary",
		}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "balorg_gateway_portal_panics_total", Help: "requests ended by a fault of ours"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.logins, m.panics)
	}
	for _, status := range []int{200, 300, 400, 500} {
		m.requests.WithLabelValues(class(status))
	}
	for _, outcome := range []string{"ok", "refused", "temporary"} {
		m.logins.WithLabelValues(outcome)
	}
	return m
}

func class(status int) string { return strconv.Itoa(status/100) + "xx" }

func (m metrics) answered(status int) { m.requests.WithLabelValues(class(status)).Inc() }
