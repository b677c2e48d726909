package queue

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	attempts *prometheus.CounterVec
	panics   prometheus.Counter
}

// newMetrics registers the queue's; a nil registerer registers nowhere.
func newMetrics(reg prometheus.Registerer, q *Queue) metrics {
	m := metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "balorg_smtp_queue_attempts_total", Help: "Attempts to deliver, by route and what came of them.",
		}, []string{"route", "state"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "balorg_smtp_queue_panics_total", Help: "Attempts ended by a fault of the program.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.panics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "balorg_smtp_queue_waiting_count", Help: "Recipients whose delivery waits or is under way.",
		}, func() float64 { return float64(q.waiting()) }))
	}
	return m
}

func (q *Queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sched.known)
}
