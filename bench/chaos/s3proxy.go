package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// fault is what a store's proxy does to requests.
type fault int32

const (
	noFault   fault = iota
	slow            // answers come late
	internal        // 500
	slowDown        // 503, as S3 says that there are too many requests
	cutUpload       // the connection ends in the middle of what is sent
	cutAnswer       // the store does it, and its answer is lost
	faults
)

// String returns the fault's name.
func (f fault) String() string {
	return [...]string{"none", "slow", "500", "503 SlowDown", "cut upload", "cut answer"}[f]
}

// faultProxy stands before a store. While a fault is set, every second request
// or so has it.
type faultProxy struct {
	url    string
	target atomic.Pointer[url.URL]
	fault  atomic.Int32
	hits   [faults]atomic.Int64
	server *http.Server
	served chan error
	proxy  *httputil.ReverseProxy

	mu  sync.Mutex // guards below
	rng *rand.Rand
}

var errCutAnswer = errors.New("the answer is lost on purpose")

func newFaultProxy(rng *rand.Rand) (*faultProxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &faultProxy{url: "http://" + l.Addr().String(), rng: rng, served: make(chan error, 1)}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(p.target.Load())
			r.Out.Host = r.In.Host // which the signature is of
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Context().Value(lost{}) != nil {
				return errCutAnswer
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // closes the connection
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { p.served <- p.server.Serve(l) }()
	return p, nil
}

// lost marks a request whose answer is to be lost.
type lost struct{}

// chance is 1 in n.
func (p *faultProxy) chance(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.IntN(n) == 0
}

// ServeHTTP passes a request on, with the fault that is set.
func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := fault(p.fault.Load())
	if f != noFault && !p.chance(2) {
		f = noFault
	}
	p.hits[f].Add(1)
	switch f {
	case slow:
		select {
		case <-time.After(300 * time.Millisecond):
		case <-r.Context().Done():
		}
	case internal:
		refuse(w, http.StatusInternalServerError, "InternalError")
		return
	case slowDown:
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
		return
	case cutUpload:
		_, _ = io.CopyN(io.Discard, r.Body, max(1, r.ContentLength/2)) // whatever comes of it, the connection ends
		panic(http.ErrAbortHandler)
	case cutAnswer:
		r = r.WithContext(context.WithValue(r.Context(), lost{}, true))
	}
	p.proxy.ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>made up by the test</Message></Error>", code)
}

// longestFault bounds the wait for a request that has a fault: there are none
// while the sink is being started.
const longestFault = 3 * time.Second

// struck waits until a request has had a fault, and a while after that.
func (p *faultProxy) struck(ctx context.Context, f fault, after time.Duration) error {
	before, began := p.hits[f].Load(), time.Now()
	for p.hits[f].Load() == before && time.Since(began) < longestFault {
		if err := wait(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return wait(ctx, after)
}

// close ends the proxy.
func (p *faultProxy) close() error {
	err := p.server.Close()
	if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
