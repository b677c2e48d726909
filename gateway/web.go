package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"balorg/policy/session"
)

// webTimeout bounds a request for metrics or health.
const webTimeout = 10 * time.Second

// web serves /metrics, /healthz and /readyz.
type web struct {
	http      http.Server
	listeners []net.Listener
}

func newWeb(g *Gateway) *web {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := g.st.healthy(r.Context()); err != nil {
			g.log.ErrorContext(r.Context(), "health", slog.Any("error", err))
			http.Error(w, "the state does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok") //nolint:errcheck // the asker is gone
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !g.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		if err := g.st.writable(); err != nil {
			http.Error(w, "the state takes no writes", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready") //nolint:errcheck // the asker is gone
	})
	return &web{http: http.Server{Handler: mux, ReadTimeout: webTimeout, WriteTimeout: webTimeout, IdleTimeout: webTimeout}}
}

func (w *web) listen(addresses []string) error {
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listening for metrics: %w", err)
		}
		w.listeners = append(w.listeners, l)
	}
	return nil
}

func (w *web) addresses() []string {
	var all []string
	for _, l := range w.listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

func (w *web) serve() error {
	var serving sync.WaitGroup
	errs := make(chan error, len(w.listeners))
	for _, l := range w.listeners {
		serving.Go(func() { errs <- w.http.Serve(l) })
	}
	serving.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving metrics: %w", err)
		}
	}
	return nil
}

func (w *web) close() {
	w.http.Close() //nolint:errcheck // nothing is kept in it
	for _, l := range w.listeners {
		l.Close() //nolint:errcheck // closed by the server when that has run
	}
}

type gatewayMetrics struct {
	reloads      prometheus.Counter
	reloadFailed prometheus.Gauge
	reloadHeld   prometheus.Gauge
	refused      *prometheus.CounterVec
	importFailed prometheus.Gauge
}

// tellImportFailed raises or ends the alarm that the national directory could not be renewed.
func (m *gatewayMetrics) tellImportFailed(failed bool) {
	value := 0.0
	if failed {
		value = 1
	}
	m.importFailed.Set(value)
}

func newMetrics(reg *prometheus.Registry, sessions *session.Table) gatewayMetrics {
	m := gatewayMetrics{
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_gateway_reloads_total", Help: "Configurations put into effect since the start.",
		}),
		reloadFailed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_gateway_reload_failed_bool", Help: "1 while the files hold a configuration that was refused.",
		}),
		reloadHeld: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_gateway_reload_held_bool", Help: "1 while a reload that removes many accounts or delegations waits for --force.",
		}),
		importFailed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_gateway_import_failed_bool",
			Help: "1 while the configured source of the national directory cannot be had or was refused, and an older directory is served.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_gateway_connections_refused_total", Help: "Connections over the limits, by service.",
		}, []string{"service"}),
	}
	reg.MustRegister(m.reloads, m.reloadFailed, m.reloadHeld, m.refused, m.importFailed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "balorg_gateway_sessions_count", Help: "Sessions of people who are logged in.",
		}, func() float64 { return float64(sessions.Len()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
