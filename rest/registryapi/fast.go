package registryapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"

	registry "github.com/millrace/millrace/schema-registry"
)

// Known answers GET /schemas/ids/{id} for schemas that are there, without
// parameters, before anything else looks at a request: readers of data ask for
// nothing else. All other requests go on to next.
func Known(reg *registry.Registry, next http.Handler) http.Handler {
	k := &knownAnswers{reg: reg}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body := k.answer(r); body != nil {
			w.Header()["Content-Type"] = typeV1
			_, _ = w.Write(body) // the client has gone otherwise; nobody is left to tell
			return
		}
		next.ServeHTTP(w, r)
	})
}

var typeV1 = []string{mediaV1} // shared by all answers, and so never changed

// Bounds of the answers kept.
const (
	maxAnswers     = 10_000
	maxAnswerBytes = 32 << 20
)

// knownAnswers keeps answers by the version that they are of. Versions are
// replaced, never changed: a version that became another has no answer yet.
type knownAnswers struct {
	reg *registry.Registry

	mu    sync.RWMutex // guards below
	all   map[*registry.Schema][]byte
	bytes int
}

// answer returns the body of an answer, nil if the request is another.
func (k *knownAnswers) answer(r *http.Request) []byte {
	if r.Method != http.MethodGet || r.URL.RawQuery != "" || !acceptsV1(r.Header["Accept"]) {
		return nil
	}
	text, ok := strings.CutPrefix(r.URL.Path, "/schemas/ids/")
	if !ok {
		return nil
	}
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || k.reg.Ready() != nil {
		return nil
	}
	s, err := k.reg.ByID(int(id), "")
	if err != nil {
		return nil
	}
	k.mu.RLock()
	body := k.all[s]
	k.mu.RUnlock()
	if body == nil {
		body = k.keep(s)
	}
	return body
}

// acceptsV1 reports whether a client takes what is answered by default.
func acceptsV1(accept []string) bool {
	return len(accept) == 0 || len(accept) == 1 && (accept[0] == "*/*" || strings.HasPrefix(accept[0], mediaV1) && !strings.Contains(accept[0], ";"))
}

func (k *knownAnswers) keep(s *registry.Schema) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(bodyOf(s)); err != nil { // the handler will say so
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) >= maxAnswers || k.bytes+b.Len() > maxAnswerBytes {
		k.all, k.bytes = map[*registry.Schema][]byte{}, 0
	}
	k.all[s] = b.Bytes()
	k.bytes += b.Len()
	return b.Bytes()
}
