package quorum

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/millrace/millrace/broker/metadata"
)

const (
	propertiesFile = "meta.properties"
	stateDir       = "metadata"
	formatDir      = "metadata.format"
	lockFile       = ".lock"
)

// ErrNotFormatted means that a data directory has no identity yet.
var ErrNotFormatted = errors.New("data directory is not formatted")

// Identity is whose a data directory is: Kafka's meta.properties, version 1.
type Identity struct {
	ClusterID   string // 22 characters of base64url
	NodeID      int32
	DirectoryID metadata.ID // a wiped disk comes back as another voter
}

// server is the voter's id: node and directory, so that a node whose disk was
// replaced is not taken for the one that voted before.
func (id Identity) server() raft.ServerID {
	return raft.ServerID(fmt.Sprintf("%d-%s", id.NodeID, id.DirectoryID))
}

func (id Identity) address() raft.ServerAddress { return raft.ServerAddress(id.server()) }

// ReadIdentity reads a data directory's identity. The error is ErrNotFormatted
// if the directory has none.
func ReadIdentity(dir string) (Identity, error) {
	path := filepath.Join(dir, propertiesFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("%s: %w", dir, ErrNotFormatted)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read identity: %w", err)
	}
	id, err := parseProperties(b)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", path, err)
	}
	return id, finishFormat(dir)
}

func parseProperties(b []byte) (Identity, error) {
	set := make(map[string]string)
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if k, v, ok := strings.Cut(strings.TrimSpace(s.Text()), "="); ok && !strings.HasPrefix(k, "#") {
			set[k] = v
		}
	}
	if set["version"] != "1" {
		return Identity{}, fmt.Errorf("version is %q, must be 1", set["version"])
	}
	node, err := strconv.ParseInt(set["node.id"], 10, 32)
	if err != nil || node < 0 {
		return Identity{}, fmt.Errorf("node.id is %q, must be a number from 0", set["node.id"])
	}
	id := Identity{ClusterID: set["cluster.id"], NodeID: int32(node)}
	if id.ClusterID == "" {
		return Identity{}, errors.New("cluster.id is missing")
	}
	raw, err := base64.RawURLEncoding.DecodeString(set["directory.id"])
	if err != nil || len(raw) != len(id.DirectoryID) {
		return Identity{}, fmt.Errorf("directory.id is %q, must be a UUID in base64url", set["directory.id"])
	}
	copy(id.DirectoryID[:], raw)
	return id, nil
}

// Format gives a fresh data directory its identity and a metadata log whose
// only voter is this node. An empty clusterID draws one. It refuses a
// directory that holds anything else, because metadata that is missing beside
// data that is not means that something was lost.
//
// A crash leaves the directory unformatted or formatted: the log is built
// aside, meta.properties is the point of no return, and the log's final name
// is given to it then or when the identity is next read.
func Format(dir string, nodeID int32, clusterID string) (Identity, error) {
	if nodeID < 0 {
		return Identity{}, fmt.Errorf("node.id is %d: must not be negative", nodeID)
	}
	if err := checkFresh(dir); err != nil {
		return Identity{}, err
	}
	if clusterID == "" {
		clusterID = metadata.NewID().String()
	}
	id := Identity{ClusterID: clusterID, NodeID: nodeID, DirectoryID: metadata.NewID()}
	if err := bootstrap(filepath.Join(dir, formatDir), id); err != nil {
		return Identity{}, fmt.Errorf("format %s: %w", dir, err)
	}
	text := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", id.ClusterID, id.NodeID, id.DirectoryID)
	if err := writeDurably(filepath.Join(dir, propertiesFile), []byte(text)); err != nil {
		return Identity{}, fmt.Errorf("format %s: %w", dir, err)
	}
	return id, finishFormat(dir)
}

func checkFresh(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case lockFile, propertiesFile + ".tmp", "lost+found":
		case formatDir: // of a format that was interrupted
			if err := os.RemoveAll(filepath.Join(dir, formatDir)); err != nil {
				return fmt.Errorf("format: %w", err)
			}
		default:
			return fmt.Errorf("%s holds %s but no %s: use an empty data directory, or restore the file from a backup", dir, e.Name(), propertiesFile)
		}
	}
	return nil
}

func bootstrap(dir string, id Identity) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	store, err := openStore(dir)
	if err != nil {
		return err
	}
	config := raft.DefaultConfig()
	config.LocalID = id.server()
	config.Logger = discardLogger()
	_, transport := raft.NewInmemTransport(id.address())
	voters := raft.Configuration{Servers: []raft.Server{{ID: id.server(), Address: id.address()}}}
	err = raft.BootstrapCluster(config, store, store, raft.NewDiscardSnapshotStore(), transport, voters)
	return errors.Join(err, store.Close(), syncDir(dir))
}

// finishFormat gives the metadata log its name if a crash kept Format from it.
func finishFormat(dir string) error {
	from, to := filepath.Join(dir, formatDir), filepath.Join(dir, stateDir)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	return syncDir(dir)
}

func writeDurably(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
