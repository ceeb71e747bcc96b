package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// engineLimit is how long the container engine may take to say that it is
// there.
const engineLimit = 20 * time.Second

// maxComplaint bounds what an error repeats of a command's own words, in bytes.
const maxComplaint = 2000

// Cluster is a network whose files Write wrote, on the container engine that
// answers `docker`.
type Cluster struct {
	dir       string
	compose   []string          // `docker compose`, or `docker-compose`
	variables map[string]string // of EnvFile
	progress  io.Writer
}

// Open finds a network's files, the engine, and compose. What takes long will
// be told to progress.
func Open(ctx context.Context, dir string, progress io.Writer) (*Cluster, error) {
	env, err := os.ReadFile(filepath.Join(dir, EnvFile))
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, ComposeFile))
	}
	if err != nil {
		return nil, fmt.Errorf("%s holds no network in containers: %w; `proctor testnet init --out DIR` writes one", dir, err)
	}
	c := &Cluster{dir: dir, variables: make(map[string]string), progress: progress}
	for line := range strings.Lines(string(env)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			c.variables[name] = value
		}
	}
	limited, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	if _, err := c.docker(limited, "info"); err != nil {
		return nil, fmt.Errorf("no container engine answers `docker info`: %w; install and start Docker, or look whether this user may use it", err)
	}
	c.compose = []string{"docker", "compose"}
	if _, err := c.run(ctx, append(c.compose, "version")...); err != nil {
		c.compose = []string{"docker-compose"}
		if _, err := c.run(ctx, append(c.compose, "version")...); err != nil {
			return nil, errors.New("neither `docker compose` nor `docker-compose` is there: install one of them, 1.29 or newer")
		}
	}
	return c, nil
}

// Variable returns what compose.yaml sees: the environment stands over the file.
func (c *Cluster) Variable(name string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return c.variables[name]
}

// Compose runs compose in the network's directory, with this process's output.
func (c *Cluster) Compose(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	command := c.command(ctx, append(c.compose, args...)...)
	command.Stdout, command.Stderr = stdout, stderr
	return command.Run()
}

func (c *Cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = c.dir
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	return command
}

func (c *Cluster) docker(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, append([]string{"docker"}, args...)...)
}

// run runs a command in the network's directory and returns what it prints. An
// error has its complaint.
func (c *Cluster) run(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command := c.command(ctx, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		complaint := bytes.TrimSpace(stderr.Bytes())
		complaint = bytes.ReplaceAll(complaint[max(0, len(complaint)-maxComplaint):], []byte("\n"), []byte("; "))
		return stdout.Bytes(), fmt.Errorf("%s: %w: %s", strings.Join(args[:min(3, len(args))], " "), err, complaint)
	}
	return stdout.Bytes(), nil
}

// container is what the engine says of one.
type container struct {
	ID    string
	State struct {
		Status string // created, running, paused, restarting, exited, dead
		Health *struct {
			Status string // starting, healthy, unhealthy
			Log    []struct{ Output string }
		}
		ExitCode int
	}
	Config struct{ Labels map[string]string }
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

// health is healthy, unhealthy or starting; of a container that does not run
// it says what it does.
func (c container) health() string {
	if c.State.Status != "running" || c.State.Health == nil {
		return c.State.Status
	}
	return c.State.Health.Status
}

// containers lists the network's containers by service.
func (c *Cluster) containers(ctx context.Context) (map[string]container, error) {
	ids, err := c.docker(ctx, "ps", "--all", "--quiet",
		"--filter", "label=com.docker.compose.project="+c.Variable("COMPOSE_PROJECT_NAME"), "--filter", "label=com.docker.compose.oneoff=False")
	if err != nil {
		return nil, err
	}
	found := make(map[string]container)
	list := strings.Fields(string(ids))
	if len(list) == 0 {
		return found, nil
	}
	raw, err := c.docker(ctx, append([]string{"inspect"}, list...)...)
	if err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("docker inspect: %w", err)
	}
	for _, one := range all {
		found[one.service()] = one
	}
	return found, nil
}
