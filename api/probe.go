package api

import (
	"encoding/json"
	"net/http"
)

// Probe is a page for supervisors, such as an orchestrator, that cannot read
// the cookie: why not, as a list of reasons. It answers 200 to an empty list
// and 503 to any other.
type Probe struct {
	Path    string          // "/readyz"
	Reasons func() []string // answers from memory
}

// ServeHTTP shows the reasons.
func (p Probe) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	reasons := p.Reasons()
	if reasons == nil {
		reasons = []string{} // an empty list, not null
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(reasons) // a client that is gone needs no answer
}
