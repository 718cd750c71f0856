package chaos_test

import (
	"flag"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/bench/chaos"
)

var (
	kills = flag.Int("kills", 20, "how often to kill; make chaos does it 200 times")
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

// fewKills are those of a capture when nobody asks for more: each kill of a
// server takes its time.
const fewKills = 5

func TestPostgresKilled(t *testing.T) {
	c := config(t)
	if c.Kills == 20 {
		c.Kills = fewKills
	}
	if err := chaos.Postgres(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}
