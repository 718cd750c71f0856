package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

var long = strings.Repeat("long ", copiedBody)

// hearts answers /known and /long.
func hearts(path, accept string) (string, []byte) {
	switch {
	case accept != "" && accept != "*/*" && accept != "text/x":
		return "", nil
	case path == "/known":
		return "text/x", []byte("by heart")
	case path == "/long":
		return "text/x", []byte(long)
	}
	return "", nil
}

// others answers everything, and what hearts knows as hearts does.
var others = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if contentType, body := hearts(r.URL.Path, r.Header.Get("Accept")); body != nil && r.Method == http.MethodGet && r.URL.RawQuery == "" {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, "%s %s %s %q", r.Method, r.URL, r.Header.Get("Accept"), body)
})

// serve runs net/http with others, behind a front or without.
func serve(t *testing.T, fronted bool, timeouts Timeouts) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: others}
	served := make(chan error, 1)
	listener := l
	if fronted {
		listener = Listen(l, hearts, timeouts)
	}
	go func() { served <- srv.Serve(listener) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

var usual = Timeouts{Header: time.Minute, Idle: time.Minute, Write: time.Minute}

// talk sends each text as one write, and returns the answers to a number of
// requests: the status, the headers and the body, without the date.
func talk(t *testing.T, addr string, requests int, texts ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, text := range texts {
			if _, err := io.WriteString(conn, text); err != nil {
				return // the answers tell
			}
		}
	}()
	var out strings.Builder
	in := bufio.NewReader(conn)
	for range requests {
		method, _, _ := strings.Cut(texts[0], " ")
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			fmt.Fprintf(&out, "%v\n", err)
			break
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode < http.StatusBadRequest && resp.Header.Get("Date") == "" {
			t.Error("no date")
		}
		resp.Header.Del("Date")
		fmt.Fprintln(&out, resp.Status, resp.Header, resp.Close, string(body), err)
	}
	return out.String()
}

// Whatever is asked, and however it is cut into packets, the answer is that of
// net/http.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	with, without := serve(t, true, usual), serve(t, false, usual)
	const known = "GET /known HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		requests int
		texts    []string
	}{
		{1, []string{known}},
		{3, []string{known, known, known}},
		{3, []string{known + known + known}},
		{1, []string{"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{4, []string{known, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n", known, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{2, []string{"GET /kno", "wn HTTP/1.1\r\nHo", "st: a\r\n\r\n", known}},
		{1, []string{"GET /known HTTP/1.1\r\nhost: a:80\r\naccept: text/x\r\nuser-agent: x\r\nConnection: Keep-Alive\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nAccept: text/y\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nAccept: text/y\r\nAccept: text/x\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.0\r\nHost: a\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"}},
		{1, []string{"GET /known?a=b HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{1, []string{"GET /kn%6fwn HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{1, []string{"GET http://a/known HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{1, []string{"HEAD /known HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{2, []string{"POST /known HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + known}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\nHost: a\n\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nUser-Agent: \x01\r\n\r\n"}},
		{1, []string{"GET /known HTTP/1.1\r\nHost: a\r\nUser-Agent: " + strings.Repeat("x", 3*maxRequest) + "\r\n\r\n"}},
		{1, []string{"nonsense\r\n\r\n"}},
	} {
		got, want := talk(t, with, c.requests, c.texts...), talk(t, without, c.requests, c.texts...)
		if got != want {
			t.Errorf("%.200q: answered\n%.300s\nwant\n%.300s", c.texts, got, want)
		}
	}
}

// A client that says nothing, or nothing more, is not kept.
func TestSilentClientsAreCutOff(t *testing.T) {
	addr := serve(t, true, Timeouts{Header: 1500 * time.Millisecond, Idle: 1500 * time.Millisecond, Write: time.Minute})
	for _, said := range []string{"", "GET /known HTTP/1.1\r\nHost: a\r\n\r\n"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("after %q: %v, want the end", said, err)
		}
	}
}

// A client that does not read its answers is cut off, and Close does not wait
// for it longer than that.
func TestCloseEndsConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := Listen(l, hearts, Timeouts{Header: time.Minute, Idle: time.Minute, Write: 2 * time.Second})
	deaf, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	in := bufio.NewReader(idle)
	if _, err := io.WriteString(idle, "GET /known HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	if err := deaf.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // until both ends' buffers are full, or it is cut off
		if _, err := io.WriteString(deaf, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			break
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	if err := f.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
}

// What is taken here is taken by net/http in the same way.
func FuzzParse(f *testing.F) {
	f.Add([]byte("GET /schemas/ids/1 HTTP/1.1\r\nHost: localhost:8081\r\nAccept: */*\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nhost:a\r\nconnection: keep-alive\r\nuser-agent:\t b \r\n\r\n"))
	f.Add([]byte("GET /a//b HTTP/1.1\r\nHost: a\r\nAccept:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path, accept, ok := parse(raw)
		if !ok {
			return
		}
		in := bufio.NewReader(bytes.NewReader(raw))
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if r.Method != http.MethodGet || r.URL.Path != path || r.URL.String() != path || r.Header.Get("Accept") != accept || r.Close || r.ContentLength != 0 || r.Proto != "HTTP/1.1" || r.Host == "" {
			t.Fatalf("%q: %+v, want %s %q", raw, r, path, accept)
		}
		if in.Buffered() > 0 {
			t.Fatalf("%q: %d bytes more than a request", raw, in.Buffered())
		}
	})
}
