package ldapserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/index"
	"balorg/ldapserver/wire"
)

type metrics struct {
	connections prometheus.Gauge
	logins      *prometheus.CounterVec
	operations  *prometheus.CounterVec
	entries     prometheus.Counter
	refused     prometheus.Counter
	panics      prometheus.Counter

	// byResult are the counters of operations, found without work: a search costs microseconds.
	byResult [maxOperation + 1][maxCode + 1]prometheus.Counter
}

// The highest tag of an answer and the highest code that are counted.
const (
	maxOperation = wire.ExtendedAnswer
	maxCode      = wire.AuthorizationDenied
)

// operations by the tag of their answer, as the label names them.
var operationNames = map[byte]string{
	wire.BindResponse: "bind", wire.SearchDone: "search", wire.CompareResponse: "compare", wire.ExtendedAnswer: "extended",
	wire.ModifyResponse: "write", wire.AddResponse: "write", wire.DeleteResponse: "write", wire.RenameResponse: "write",
}

func newMetrics(reg prometheus.Registerer, view func() *directory.View) metrics {
	m := metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "balorg_ldapserver_connections_count", Help: "LDAP connections that are open"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_ldapserver_logins_total", Help: "log-ins by outcome: ok, refused, temporary",
		}, []string{"outcome"}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_ldapserver_operations_total", Help: "operations answered, by kind and result code",
		}, []string{"operation", "result"}),
		entries: prometheus.NewCounter(prometheus.CounterOpts{Name: "balorg_ldapserver_entries_total", Help: "entries answered"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_ldapserver_harvests_total", Help: "searches refused because a person or an address has had too many entries",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "balorg_ldapserver_panics_total", Help: "connections ended by a fault of ours"}),
	}
	if reg != nil {
		reg.MustRegister(m.connections, m.logins, m.operations, m.entries, m.refused, m.panics,
			national(view, "balorg_ldapserver_national_date_seconds", "when the national directory that is served was made, in seconds since 1970; 0: none is served",
				func(x *index.Index) float64 { return float64(x.Info().Date.Unix()) }),
			national(view, "balorg_ldapserver_national_entries_count", "entries of the national directory that is served",
				func(x *index.Index) float64 { return float64(x.Len()) }))
	}
	for _, outcome := range []string{"ok", "refused", "temporary"} {
		m.logins.WithLabelValues(outcome)
	}
	for op, name := range operationNames {
		for code, word := range wire.CodeNames() {
			m.byResult[op][code] = m.operations.WithLabelValues(name, word)
		}
	}
	return m
}

// national is a gauge about the national directory; zero when there is none.
func national(view func() *directory.View, name, help string, value func(*index.Index) float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		v := view()
		if v == nil || v.National == nil {
			return 0
		}
		return value(v.National.Index)
	})
}

func (m *metrics) result(op byte, code wire.Code) {
	if op > maxOperation || code < 0 || code > maxCode {
		return // none of those that are answered
	}
	if counter := m.byResult[op][code]; counter != nil {
		counter.Inc()
	}
}
