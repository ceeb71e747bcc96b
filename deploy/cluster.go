package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Services of a network that are no nodes.
const (
	prometheusService = "prometheus"
	grafanaService    = "grafana"
)

// lookEvery is how often Up looks at the containers.
const lookEvery = 250 * time.Millisecond

// tellEvery is how long Up says nothing, at most.
const tellEvery = 2 * time.Second

// Up starts the network and waits until every node is healthy. Grafana starts
// if its image is there, or else, if it is wanted, is pulled.
func (c *Cluster) Up(ctx context.Context, grafana bool) error {
	began := time.Now()
	node, prometheus := c.Variable("NODE_IMAGE"), c.Variable("PROMETHEUS_IMAGE")
	if !c.has(ctx, node) {
		return fmt.Errorf("the image %s is not there: `make image` in a checkout of Proctor builds %s; or name another as NODE_IMAGE in %s", node, NodeImage, c.file(EnvFile))
	}
	if !c.has(ctx, prometheus) {
		c.tell(began, "pull "+prometheus)
		if _, err := c.docker(ctx, "pull", prometheus); err != nil {
			return fmt.Errorf("the image %s is not there and cannot be pulled: `deploy/prometheus-image.sh %s` in a checkout of Proctor builds it from the Debian package: %w", prometheus, prometheus, err)
		}
	}
	args := []string{"up", "--detach"}
	if image := c.Variable("GRAFANA_IMAGE"); grafana || c.has(ctx, image) {
		args = append([]string{"--profile", grafanaService}, args...)
	}
	c.tell(began, "start containers with "+strings.Join(c.compose, " "))
	if _, err := c.run(ctx, append(c.compose, args...)...); err != nil {
		return err
	}
	return c.awaitHealth(ctx, began)
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// has reports whether the engine has an image.
func (c *Cluster) has(ctx context.Context, image string) bool {
	_, err := c.docker(ctx, "image", "inspect", image)
	return err == nil
}

func (c *Cluster) tell(began time.Time, what string) {
	fmt.Fprintf(c.progress, "%5.1f s  %s\n", time.Since(began).Seconds(), what)
}

// awaitHealth waits until every node is healthy. What has ended will not be.
func (c *Cluster) awaitHealth(ctx context.Context, began time.Time) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var told string
	var toldAt time.Time
	for {
		all, err := c.containers(ctx)
		if err != nil {
			return err
		}
		waiting, ended := unready(all)
		if ended != nil {
			return fmt.Errorf("%w; `proctor testnet logs %s` tells more", ended, c.dir)
		}
		line := fmt.Sprintf("%d of %d nodes healthy", len(nodes(all))-len(waiting), len(nodes(all)))
		if 0 < len(waiting) && len(waiting) <= 3 {
			line += "; waiting for " + strings.Join(waiting, ", ")
		}
		if line != told || time.Since(toldAt) > tellEvery {
			told, toldAt = line, time.Now()
			c.tell(began, line)
		}
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; `proctor testnet logs %s %s` tells more", line, ctx.Err(), c.dir, waiting[0])
		}
	}
}

// nodes lists the services that are nodes.
func nodes(all map[string]container) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool {
		return name == prometheusService || name == grafanaService
	})
}

// unready lists the nodes that are not healthy, and tells of what has ended.
func unready(all map[string]container) (waiting []string, ended error) {
	for name, one := range all {
		if s := one.State.Status; s == "exited" || s == "dead" || s == "restarting" {
			ended = errors.Join(ended, fmt.Errorf("%s is %s, exit code %d", name, s, one.State.ExitCode))
		}
	}
	for _, name := range nodes(all) {
		if all[name].health() != "healthy" {
			waiting = append(waiting, name)
		}
	}
	return waiting, ended
}

// Down removes the containers; with volumes also what Prometheus has stored.
// The nodes' data is in the network's directory, and stays.
func (c *Cluster) Down(ctx context.Context, volumes bool) error {
	args := append(slices.Clone(c.compose), "--profile", grafanaService, "down")
	if volumes {
		args = append(args, "--volumes")
	}
	began := time.Now()
	c.tell(began, "stop and remove the containers")
	_, err := c.run(ctx, args...)
	if err == nil {
		c.tell(began, "they are gone; `proctor testnet up "+c.dir+"` goes on, removing "+c.dir+" removes the network")
	}
	return err
}

// Logs copies what containers logged: of all, or of some services.
func (c *Cluster) Logs(ctx context.Context, stdout, stderr io.Writer, follow bool, tail int, services ...string) error {
	args := []string{"logs", fmt.Sprintf("--tail=%d", tail)}
	if follow {
		args = append(args, "--follow")
	}
	return c.Compose(ctx, stdout, stderr, append(args, services...)...)
}

// NodeStatus is how one node is: what the engine says of its container, what it
// says itself, and what one of the nodes says of it.
type NodeStatus struct {
	Name      string `json:"name"`
	Container string `json:"container"` // healthy, unhealthy, starting, paused, exited, ...

	Health  *Health      `json:"health"`       // null if it does not answer
	Service *ServiceNode `json:"service_node"` // null if nobody answers, or it is gone
}

// Health is the part that is shown of `proctor health --json`.
type Health struct {
	Healthy  bool     `json:"healthy"`
	Synced   bool     `json:"synced"`
	Height   int32    `json:"height"`
	Peers    int      `json:"peers"`
	Problems []string `json:"problems"`
}

// ServiceNode is the part that is shown of `proctor nodes --json`.
type ServiceNode struct {
	Name            string `json:"name"`
	State           string `json:"state"`
	Credit          int32  `json:"credit"`
	ProofAge        int32  `json:"proof_age"`
	PoSeBanned      bool   `json:"pose_banned"`
	PlatformBanFlag bool   `json:"platform_ban_flag"`
}

// Status asks the engine and every node that runs, all at once.
func (c *Cluster) Status(ctx context.Context) ([]NodeStatus, error) {
	all, err := c.containers(ctx)
	if err != nil {
		return nil, err
	}
	names := nodes(all)
	if len(names) == 0 {
		return nil, fmt.Errorf("no container of %s is there: `proctor testnet up %s` starts them", c.dir, c.dir)
	}
	list := make([]NodeStatus, len(names))
	var work sync.WaitGroup
	for i, name := range names {
		list[i] = NodeStatus{Name: name, Container: all[name].health()}
		if all[name].State.Status != "running" {
			continue
		}
		work.Go(func() {
			var h Health
			if c.ask(ctx, all[name], &h, "health") == nil {
				list[i].Health = &h
			}
		})
	}
	work.Wait()
	c.registry(ctx, all, list)
	return list, nil
}

// registry adds what the highest node says of all.
func (c *Cluster) registry(ctx context.Context, all map[string]container, list []NodeStatus) {
	var best *NodeStatus
	for i := range list {
		if h := list[i].Health; h != nil && (best == nil || h.Height > best.Health.Height) {
			best = &list[i]
		}
	}
	if best == nil {
		return
	}
	var registered []ServiceNode
	if c.ask(ctx, all[best.Name], &registered, "nodes") != nil {
		return
	}
	for i := range list {
		if at := slices.IndexFunc(registered, func(n ServiceNode) bool { return n.Name == list[i].Name }); at >= 0 {
			list[i].Service = &registered[at]
		}
	}
}

// ask runs a command of a node that prints JSON. An answer no is an answer.
func (c *Cluster) ask(ctx context.Context, one container, answer any, command string) error {
	out, err := c.docker(ctx, "exec", one.ID, "/proctor", command, "--json")
	if decoded := json.Unmarshal(out, answer); decoded != nil {
		return errors.Join(err, decoded)
	}
	return nil
}
