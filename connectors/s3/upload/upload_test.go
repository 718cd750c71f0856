package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

var errBusy = errors.New("busy")

// memoryStore keeps objects, and fails when it is told to.
type memoryStore struct {
	mu      sync.Mutex // guards below
	objects map[string][]byte
	uploads map[string]map[int32][]byte
	puts    int
	fail    func(call string) error
	sizes   []int64
	sums    bool // bodies must have checksums
}

func newStore() *memoryStore {
	return &memoryStore{objects: map[string][]byte{}, uploads: map[string]map[int32][]byte{}, fail: func(string) error { return nil }}
}

func (s *memoryStore) read(call string, body Body) ([]byte, error) {
	first, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	again, err := io.ReadAll(body) // as an SDK that signs and then sends
	if err != nil || !bytes.Equal(first, again) || int64(len(first)) != body.Size {
		return nil, fmt.Errorf("%s: a body of %d bytes reads as %d and %d: %v", call, body.Size, len(first), len(again), err)
	}
	if sum := crc32.ChecksumIEEE(first); s.sums && body.CRC32 != sum {
		return nil, fmt.Errorf("%s: a body of %d bytes has the checksum %x, not %x", call, body.Size, body.CRC32, sum)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, body.Size)
	return first, s.fail(call)
}

func (s *memoryStore) Put(_ context.Context, o Object, body Body) error {
	b, err := s.read("put", body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[o.Key], s.puts = b, s.puts+1
	return nil
}

func (s *memoryStore) Create(_ context.Context, o Object) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("create"); err != nil {
		return "", err
	}
	s.uploads[o.Key] = map[int32][]byte{}
	return o.Key, nil
}

func (s *memoryStore) SendPart(_ context.Context, _ Object, id string, n int32, body Body) (Part, error) {
	b, err := s.read("part", body)
	if err != nil {
		return Part{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[id][n] = b
	return Part{Number: n, ETag: fmt.Sprint(n)}, nil
}

func (s *memoryStore) Complete(_ context.Context, o Object, id string, parts []Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("complete"); err != nil {
		return err
	}
	var all []byte
	for i, p := range parts {
		if int(p.Number) != i+1 {
			return fmt.Errorf("part %d is at place %d", p.Number, i+1)
		}
		if size := len(s.uploads[id][1]); i+1 < len(parts) && len(s.uploads[id][p.Number]) != size {
			return fmt.Errorf("part %d has %d bytes, the first %d", i+1, len(s.uploads[id][p.Number]), size)
		}
		all = append(all, s.uploads[id][p.Number]...)
	}
	if len(parts) != len(s.uploads[id]) {
		return fmt.Errorf("%d of %d parts are named", len(parts), len(s.uploads[id]))
	}
	s.objects[o.Key] = all
	delete(s.uploads, id)
	return nil
}

func (s *memoryStore) Abort(_ context.Context, _ Object, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
	return s.fail("abort")
}

const partSize = 1 << 20

func fill(t *testing.T, random *rand.Rand, f *File, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{byte(random.Uint32())}).Read(b); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestManyFilesStayWithinTheMemory writes a hundred files in turns, of sizes
// from nothing to several parts, in the memory of less than three parts, with
// a store that fails every few requests.
func TestManyFilesStayWithinTheMemory(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStore()
	s.sums = true
	calls := 0
	s.fail = func(call string) error {
		if calls++; call != "abort" && calls%5 == 0 {
			return errBusy
		}
		return nil
	}
	const memory = 2 << 20
	dir := t.TempDir()
	p := NewPool(s, Config{PartSize: partSize, Memory: memory, Checksums: true, Dir: dir})
	files := make([]*File, 100)
	want := make([][]byte, len(files))
	for i := range files {
		files[i] = p.NewFile(t.Context(), Object{Key: fmt.Sprint(i)}, false)
	}
	for range 1500 {
		i := random.IntN(len(files)) * random.IntN(len(files)) / len(files) // some more than others
		want[i] = append(want[i], fill(t, random, files[i], random.IntN(40<<10))...)
		if err := p.Advance(t.Context()); err != nil && !errors.Is(err, errBusy) {
			t.Fatal(err)
		}
		if used := p.Used(); used > memory+chunkSize {
			t.Fatalf("%d bytes are held, of %d allowed", used, memory)
		}
	}
	for i, f := range files {
		for {
			err := f.Commit(t.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, errBusy) {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(s.objects[fmt.Sprint(i)], want[i]) {
			t.Errorf("object %d is not what was written", i)
		}
	}
	if used := p.Used(); used != 0 {
		t.Errorf("%d bytes are held with all files done", used)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	if len(s.uploads) > 0 {
		t.Errorf("%d uploads are left", len(s.uploads))
	}
}

func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		sizes []int64
		puts  int
	}{
		{"nothing", 0, []int64{0}, 1},
		{"one byte", 1, []int64{1}, 1},
		{"exactly a part", partSize, []int64{partSize}, 1},
		{"a part and a byte", partSize + 1, []int64{1, partSize}, 0},
		{"two parts", 2 * partSize, []int64{partSize, partSize}, 0},
	} {
		for _, hold := range []bool{false, true} {
			s := newStore()
			p := NewPool(s, Config{PartSize: partSize})
			f := p.NewFile(t.Context(), Object{Key: "k", Metadata: map[string]string{}}, hold)
			want := fill(t, rand.New(rand.NewPCG(1, 1)), f, tt.size)
			if err := p.Advance(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.flying.Wait()
			if hold && len(s.sizes) > 0 {
				t.Errorf("%s: %d bodies are sent before Commit", tt.name, len(s.sizes))
			}
			if err := f.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			slices.Sort(s.sizes)
			if !slices.Equal(s.sizes, tt.sizes) || s.puts != tt.puts || !bytes.Equal(s.objects["k"], want) {
				t.Errorf("%s, hold %v: bodies of %v and %d puts, want %v and %d", tt.name, hold, s.sizes, s.puts, tt.sizes, tt.puts)
			}
		}
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	s := newStore()
	p := NewPool(s, Config{PartSize: partSize, Memory: 1 << 20, Dir: t.TempDir()})
	f := p.NewFile(t.Context(), Object{Key: "k"}, false)
	fill(t, rand.New(rand.NewPCG(1, 1)), f, 5*partSize/2)
	if err := p.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.uploads)+len(s.objects) > 0 || p.Used() != 0 {
		t.Errorf("uploads %d, objects %d, %d bytes held", len(s.uploads), len(s.objects), p.Used())
	}
}

func TestTooManyParts(t *testing.T) {
	p := NewPool(newStore(), Config{PartSize: 1})
	f := p.NewFile(t.Context(), Object{Key: "k"}, true)
	f.number, f.last.number = maxParts, maxParts // those before are on their way
	fill(t, rand.New(rand.NewPCG(1, 1)), f, 2)
	if err := f.Commit(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error is %v", err)
	}
	if err := f.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPartsAreCutBeforeMemoryIsFull writes a few large files in turns: what they
// hold is sent before it is full parts, and none of it goes to the disk, where
// there is no place for it.
func TestPartsAreCutBeforeMemoryIsFull(t *testing.T) {
	s := newStore()
	const memory = 4 << 20
	p := NewPool(s, Config{PartSize: 64 << 20, LeastPart: memory / 8, Memory: memory, Dir: filepath.Join(t.TempDir(), "missing")})
	files := make([]*File, 4)
	want := make([][]byte, len(files))
	for i := range files {
		files[i] = p.NewFile(t.Context(), Object{Key: fmt.Sprint(i)}, false)
	}
	for n := range 400 {
		i := n % len(files)
		want[i] = append(want[i], fill(t, rand.New(rand.NewPCG(uint64(n), 1)), files[i], 50_000+n)...)
		if err := p.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range files {
		if err := f.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.objects[fmt.Sprint(i)], want[i]) {
			t.Errorf("object %d is not what was written", i)
		}
	}
	if n := len(s.sizes); n < 8 || s.puts > 0 {
		t.Errorf("%d parts and %d whole objects are sent, of %d bytes", n, s.puts, 400*50_200)
	}
}

// TestAdvanceWaitsForTheStore fills the memory while the store takes nothing:
// Advance returns when something has arrived.
func TestAdvanceWaitsForTheStore(t *testing.T) {
	s := newStore()
	open := make(chan struct{})
	s.fail = func(call string) error {
		if call == "part" {
			s.mu.Unlock()
			<-open
			s.mu.Lock()
		}
		return nil
	}
	const memory = 4 << 20
	p := NewPool(s, Config{PartSize: memory / 2, LeastPart: memory / 2, Memory: memory, Dir: filepath.Join(t.TempDir(), "missing")})
	f := p.NewFile(t.Context(), Object{Key: "k"}, false)
	want := fill(t, rand.New(rand.NewPCG(1, 1)), f, memory/8*7+1)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errBusy)
	if err := p.Advance(ctx); !errors.Is(err, errBusy) {
		t.Errorf("with the memory full and the store busy, Advance returns %v", err)
	}
	close(open)
	if err := p.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := p.Used(); used > memory/2 {
		t.Errorf("Advance returns with %d bytes held", used)
	}
	if err := f.Commit(t.Context()); err != nil || !bytes.Equal(s.objects["k"], want) {
		t.Errorf("commit: %v", err)
	}
}

func TestEndOfContextStopsWaiting(t *testing.T) {
	p := NewPool(newStore(), Config{PartSize: partSize, Parallel: 1})
	if err := p.slots.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := p.NewFile(t.Context(), Object{Key: "k"}, false)
	if err := f.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := f.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}
