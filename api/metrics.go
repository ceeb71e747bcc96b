package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/metrics"
)

type serverMetrics struct {
	calls   *prometheus.CounterVec
	refused *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, methods map[string]Method) serverMetrics {
	const subsystem = "api"
	m := serverMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "calls_total", Help: "Calls answered, by method and result.",
		}, []string{"method", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "refused_total", Help: "Requests that reached no method, by cause.",
		}, []string{"cause"}),
	}
	for name := range methods {
		m.calls.WithLabelValues(name, "ok")
		m.calls.WithLabelValues(name, "error")
	}
	for _, cause := range []string{"password", "size", "rate", "method", "write"} {
		m.refused.WithLabelValues(cause)
	}
	r.MustRegister(m.calls, m.refused)
	return m
}

func (m serverMetrics) called(method string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.calls.WithLabelValues(method, result).Inc()
}
