package registryapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"github.com/millrace/millrace/rest/front"
	registry "github.com/millrace/millrace/schema-registry"
)

// Known answers GET /schemas/ids/{id} for schemas that are there: readers of
// data ask for nothing else. Every other request is for Routes.
func Known(reg *registry.Registry) front.Answer {
	k := &knownAnswers{reg: reg}
	return func(path, accept string) (string, []byte) { return mediaV1, k.answer(path, accept) }
}

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
func (k *knownAnswers) answer(path, accept string) []byte {
	text, ok := strings.CutPrefix(path, "/schemas/ids/")
	if !ok || !acceptsV1(accept) {
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
func acceptsV1(accept string) bool {
	return accept == "" || accept == "*/*" || strings.HasPrefix(accept, mediaV1) && !strings.Contains(accept, ";")
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
