package chaos_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/bench/chaos"
)

// kills is not set in every run of the tests: each knows then how often is
// enough.
var (
	kills = flag.Int("kills", 0, "how often to kill, 0 for a few times; make chaos does it 200 times")
	seed  = flag.Uint64("seed", rand.Uint64(), "of the random choices")
	keep  = flag.String("keep", "", "directory for the state and the logs of all processes, which stay there if the test fails")
)

// build makes the binary that is killed.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "millrace")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/millrace/millrace/cmd/millrace")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// config kills so often unless another number was asked for. It prints the seed,
// so that a failure can be run again.
func config(t *testing.T, enough int) chaos.Config {
	t.Helper()
	if *kills > 0 {
		enough = *kills
	}
	t.Logf("-kills %d -seed %d", enough, *seed)
	return chaos.Config{Bin: build(t), Dir: stateDir(t), Kills: enough, Seed: *seed, Logf: t.Logf}
}

// stateDir is a directory that goes with the test, or with -keep stays if it
// fails.
func stateDir(t *testing.T) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(*keep, t.Name()+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("state and logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestLogKilled(t *testing.T) {
	if err := chaos.Log(t.Context(), config(t, 20)); err != nil {
		t.Fatal(err)
	}
}

func TestConnectKilled(t *testing.T) {
	if err := chaos.Connect(t.Context(), config(t, 20)); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresKilled(t *testing.T) {
	if err := chaos.Postgres(t.Context(), config(t, 5)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesKilled(t *testing.T) {
	if err := chaos.Files(t.Context(), config(t, 3)); err != nil {
		t.Fatal(err)
	}
}

// TestS3Killed strikes once in each way.
func TestS3Killed(t *testing.T) {
	if err := chaos.S3(t.Context(), config(t, 10)); err != nil {
		t.Fatal(err)
	}
}
