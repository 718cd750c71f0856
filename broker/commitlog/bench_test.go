package commitlog

import (
	"context"
	"fmt"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 150, 600} { // records of 100 bytes
		b.Run(fmt.Sprintf("%drecords", n), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Config{SegmentBytes: 256 << 20, RetentionBytes: 256 << 20})
			v := batch{n: n, size: 100}.view(b)
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Append(v, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendDurable(b *testing.B) {
	l := mustOpen(b, b.TempDir(), Config{})
	v := batch{n: 10, size: 100}.view(b)
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		if _, err := l.Append(v, 0); err != nil {
			b.Fatal(err)
		}
		if err := l.WaitDurable(context.Background(), l.EndOffset()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	l := mustOpen(b, b.TempDir(), Config{})
	v := batch{n: 10, size: 100}.view(b)
	for range 20_000 {
		if _, err := l.Append(v, 0); err != nil {
			b.Fatal(err)
		}
	}
	end := l.EndOffset()
	b.Run("onwards", func(b *testing.B) {
		at := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			c, err := l.Read(at, 1<<20, end, true)
			if err != nil {
				b.Fatal(err)
			}
			if at += c.Len() / int64(len(v)) * 10; at >= end {
				at = 0
			}
			c.Close()
		}
	})
	b.Run("anywhere", func(b *testing.B) {
		at := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			c, err := l.Read(at, 1<<20, end, true)
			if err != nil {
				b.Fatal(err)
			}
			at = (at + 7919) % end
			c.Close()
		}
	})
}
