package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// ask sends an ApiVersions request and waits for its answer.
func ask(c net.Conn) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "bench", "1"
	if err := c.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(frame(req, 3)); err != nil {
		return err
	}
	var buf []byte
	_, err := readFrame(c, &buf)
	return err
}

// machineBytes is what is written and sent to learn what the machine can do.
const machineBytes = 4 << 30

// machine measures what a log could reach at most: writing a file from
// beginning to end, and sending one over loopback.
func (b *bench) machine(ctx context.Context) error {
	path := filepath.Join(b.dir, "machine")
	defer os.Remove(path)
	for range b.turns {
		if err := ctx.Err(); err != nil {
			return err
		}
		wrote, synced, err := sequentialWrite(path, machineBytes)
		if err != nil {
			return err
		}
		b.Row("sequential write", "1 MiB at a time, 4 GiB, into the page cache", "MiB/s").Add("machine", wrote)
		b.Row("sequential write", "the same, with fdatasync at the end", "MiB/s").Add("machine", synced)
		sent, err := sendfile(path, machineBytes)
		if err != nil {
			return err
		}
		b.Row("sendfile over loopback", "from the page cache, one connection", "MiB/s").Add("machine", sent)
	}
	return nil
}

func sequentialWrite(path string, size int) (wrote, synced float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	chunk := text(mib)
	began := time.Now()
	for n := 0; n < size; n += len(chunk) {
		if _, err := f.Write(chunk); err != nil {
			return 0, 0, err
		}
	}
	cached := time.Since(began)
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return 0, 0, err
	}
	rate := func(d time.Duration) float64 { return float64(size) / mib / d.Seconds() }
	return rate(cached), rate(time.Since(began)), nil
}

// sendfile sends a file over a TCP connection within the machine, as fast as
// one connection can, and returns MiB/s at the receiver.
func sendfile(path string, size int64) (rate float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	sent := make(chan error, 1)
	go func() { sent <- serveFile(l, path, size) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, mib)
	began := time.Now()
	var got int64
	for err == nil {
		var n int
		n, err = c.Read(buf)
		got += int64(n)
	}
	took := time.Since(began)
	if errors.Is(err, io.EOF) {
		err = <-sent
	}
	if err == nil && got != size {
		err = fmt.Errorf("%d of %d bytes arrived", got, size)
	}
	return float64(got) / mib / took.Seconds(), err
}

func serveFile(l net.Listener, path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = c.(*net.TCPConn).ReadFrom(io.LimitReader(f, size))
	return errors.Join(err, c.Close())
}
