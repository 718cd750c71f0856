package chaos_test

import (
	"flag"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/bench/chaos"
)

// defaultKills is how often in every run of the tests.
const defaultKills = 20

var (
	kills = flag.Int("kills", defaultKills, "how often to kill; make chaos does it 200 times")
	seed  = flag.Uint64("seed", rand.Uint64(), "of the random choices")
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

// config prints the seed, so that a failure can be run again.
func config(t *testing.T) chaos.Config {
	t.Logf("-kills %d -seed %d", *kills, *seed)
	return chaos.Config{Bin: build(t), Dir: t.TempDir(), Kills: *kills, Seed: *seed, Logf: t.Logf}
}

func TestLogKilled(t *testing.T) {
	if err := chaos.Log(t.Context(), config(t)); err != nil {
		t.Fatal(err)
	}
}

func TestConnectKilled(t *testing.T) {
	if err := chaos.Connect(t.Context(), config(t)); err != nil {
		t.Fatal(err)
	}
}

// fewer is for what takes long to start again: so many kills when nobody asks
// for another number.
func fewer(t *testing.T, n int) chaos.Config {
	cfg := config(t)
	if cfg.Kills == defaultKills {
		cfg.Kills = n
	}
	return cfg
}

func TestPostgresKilled(t *testing.T) {
	if err := chaos.Postgres(t.Context(), fewer(t, 5)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesKilled(t *testing.T) {
	if err := chaos.Files(t.Context(), fewer(t, 2)); err != nil {
		t.Fatal(err)
	}
}

// TestS3Killed strikes once in each way.
func TestS3Killed(t *testing.T) {
	if err := chaos.S3(t.Context(), fewer(t, 9)); err != nil {
		t.Fatal(err)
	}
}
