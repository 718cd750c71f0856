package peers

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// StartConnect runs one worker of Kafka Connect in distributed mode against a
// cluster. Addr of the result is its REST API's. settings are added to what it
// needs at least: converters, replication, and the FileStream connectors, which
// are not on its class path any more.
func StartConnect(ctx context.Context, lib, dir, bootstrap string, settings map[string]string) (*Process, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	addr := ports[0]
	host, port, _ := strings.Cut(addr, ":")
	plugins := filepath.Join(dir, "plugins")
	jars, err := filepath.Glob(filepath.Join(lib, "connect-file-*.jar"))
	if err != nil || len(jars) != 1 {
		return nil, errors.Join(err, errors.New("no connect-file in "+lib+": run bench/peers/fetch.sh"))
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(plugins, "file"), 0o755),
		os.Symlink(jars[0], filepath.Join(plugins, "file", filepath.Base(jars[0])))); err != nil {
		return nil, err
	}
	all := map[string]string{
		"bootstrap.servers": bootstrap, "listeners": "http://" + addr,
		"rest.advertised.host.name": host, "rest.advertised.port": port,
		"config.storage.replication.factor": "1", "offset.storage.replication.factor": "1", "status.storage.replication.factor": "1",
		"offset.flush.interval.ms": "1000", "plugin.path": plugins, "plugin.discovery": "service_load",
	}
	maps.Copy(all, settings)
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, k+"="+all[k])
	}
	config, logs := filepath.Join(dir, "connect.properties"), filepath.Join(dir, "log4j2.yaml")
	if err := errors.Join(os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o644), os.WriteFile(logs, []byte(logging), 0o644)); err != nil {
		return nil, err
	}
	return java(ctx, lib, "org.apache.kafka.connect.cli.ConnectDistributed", addr, logs, []string{"-Xms256M", "-Xmx2G"}, []string{config},
		func(ctx context.Context) bool {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/connectors", nil)
			if err != nil {
				return false
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		})
}
