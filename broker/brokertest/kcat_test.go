package brokertest_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace/millrace/broker/brokertest"
)

// kcat runs the librdkafka client as its users do.
func kcat(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatalf("this test needs kcat: install the package kcat (Debian, Ubuntu, Homebrew): %v", err)
	}
	cmd := exec.CommandContext(within(t), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, diag.String())
	}
	return out.String()
}

func TestKcat(t *testing.T) {
	c := brokertest.Start(t)
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, "k%d:v%d\n", i, i)
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			topic := "kcat-" + codec // created automatically
			kcat(t, in.String(), "-b", c.Addr(), "-P", "-t", topic, "-K", ":", "-z", codec, "-X", "enable.idempotence=true", "-X", "acks=all")
			if got := kcat(t, "", "-b", c.Addr(), "-C", "-t", topic, "-K", ":", "-e", "-q"); got != in.String() {
				t.Errorf("consumed %d bytes, produced %d", len(got), in.Len())
			}
		})
	}
	if got := kcat(t, "", "-b", c.Addr(), "-L"); !strings.Contains(got, `topic "kcat-zstd" with 1 partitions`) {
		t.Errorf("metadata listing:\n%s", got)
	}
	if got := kcat(t, "", "-b", c.Addr(), "-Q", "-t", "kcat-none:0:-1"); !strings.Contains(got, "offset 500") {
		t.Errorf("offset query: %s", got)
	}
	group := kcat(t, "", "-b", c.Addr(), "-G", "readers", "-X", "auto.offset.reset=earliest", "-c", "500", "-q", "-K", ":", "kcat-lz4")
	if group != in.String() {
		t.Errorf("the group consumed %d bytes, want %d", len(group), in.Len())
	}
}
