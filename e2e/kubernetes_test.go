package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"partway/e2e/harness"
)

// manifests are deploy/kubernetes as `kubectl kustomize` renders it, each decoded strictly: a field that Kubernetes does not know is an error.
type manifests struct {
	set        appsv1.StatefulSet
	service    corev1.Service
	config     corev1.ConfigMap
	disruption policyv1.PodDisruptionBudget
	secret     corev1.Secret // the example, which is no part of the kustomization
}

func rendered(t *testing.T) *manifests {
	t.Helper()
	dir := filepath.Join(harness.Root(), "deploy", "kubernetes")
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var m manifests
	kinds := map[string]any{"StatefulSet": &m.set, "Service": &m.service, "ConfigMap": &m.config, "PodDisruptionBudget": &m.disruption}
	for _, r := range resources.Resources() {
		into, ok := kinds[r.GetKind()]
		if !ok {
			t.Fatalf("a %s that no test knows, or a second one", r.GetKind())
		}
		delete(kinds, r.GetKind())
		text, err := r.AsYAML()
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", r.GetKind(), err)
		}
	}
	if len(kinds) > 0 {
		t.Fatalf("not rendered: %v", kinds)
	}
	text, err := os.ReadFile(filepath.Join(dir, "secret.example.yaml"))
	if err == nil {
		err = yaml.UnmarshalStrict(text, &m.secret)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestKubernetesLetsAGatewayDrainAndGivesItNoRights(t *testing.T) {
	m := rendered(t)
	pod := m.set.Spec.Template.Spec
	c := pod.Containers[0]
	pause := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	if d := drain(t, m.config.Data["config.yaml"]); pause < 5*time.Second || grace < pause+d+10*time.Second {
		t.Errorf("a grace of %v for %v of preStop and a drain of %v", grace, pause, d)
	}
	if p, s := pod.SecurityContext, c.SecurityContext; !*p.RunAsNonRoot || *p.RunAsUser != 65532 || *p.FSGroup != 65532 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || *pod.AutomountServiceAccountToken {
		t.Errorf("the pod may more than it must: %+v %+v", p, s)
	}
	for _, labels := range []map[string]string{m.set.Spec.Selector.MatchLabels, m.disruption.Spec.Selector.MatchLabels, m.service.Spec.Selector} {
		if name := "app.kubernetes.io/name"; len(labels) != 1 || labels[name] != "partway" || m.set.Spec.Template.Labels[name] != "partway" {
			t.Errorf("a selector that misses the pods: %v", labels)
		}
	}
	if m.disruption.Spec.MaxUnavailable.IntValue() != 1 || *m.set.Spec.Replicas < 2 {
		t.Errorf("a disruption may take %v of %d gateways", m.disruption.Spec.MaxUnavailable, *m.set.Spec.Replicas)
	}
	// The spool of events must outlive a pod.
	if v := m.set.Spec.VolumeClaimTemplates; len(v) != 1 || v[0].Name != "data" {
		t.Errorf("no claim for /data: %v", v)
	}
}

// The pod's own environment and configuration, with its mounts in a directory of this machine and its servers here, make a gateway that
// answers what the probes ask.
func TestKubernetesProbesAGatewayThatServes(t *testing.T) {
	m := rendered(t)
	ctx, dir := withTimeout(t, 2*time.Minute), t.TempDir()
	storage := started(t)(harness.StartVersitygw(ctx, dir, nil)).Addr
	redis := started(t)(harness.StartRedis(ctx, dir)).Addr
	mongodb := started(t)(harness.StartMongo(ctx, dir, harness.SecantusDB)).Addr

	c := m.set.Spec.Template.Spec.Containers[0]
	var mounts []string
	volumes := map[string]string{}
	for _, v := range c.VolumeMounts {
		here := filepath.Join(dir, "pod", v.MountPath)
		if err := os.MkdirAll(here, 0o700); err != nil {
			t.Fatal(err)
		}
		volumes[v.Name] = here
		mounts = append(mounts, v.MountPath+"/", here+"/")
	}
	here := strings.NewReplacer(mounts...).Replace
	write := func(volume, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(volumes[volume], name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range m.config.Data {
		write("config", name, here(text))
	}
	// As the example says: `keys new` made two of its files; the others have this machine's servers.
	if _, err := harness.Run(ctx, nil, binary, "keys", "new", "--dir", volumes["secrets"]); err != nil {
		t.Fatal(err)
	}
	servers := strings.NewReplacer(
		"https://s3.eu-central-1.amazonaws.com", "http://"+storage, "eu-central-1", "us-east-1", "AKIAEXAMPLE", harness.StorageKey, "secret_access_key: example", "secret_access_key: "+harness.StorageSecret,
		"mongodb://partway:password@mongo.example.com/?replicaSet=rs0", "mongodb://"+mongodb+"/?directConnection=true", "redis://:password@redis.example.com:6379", "redis://"+redis)
	for name, text := range m.secret.StringData {
		if _, err := os.Stat(filepath.Join(volumes["secrets"], name)); err == nil {
			continue
		}
		write("secrets", name, servers.Replace(text))
	}

	env := []string{"PARTWAY_CFG_DATA_DIR=" + volumes["data"]} // the image's
	for _, e := range c.Env {
		env = append(env, e.Name+"="+here(e.Value))
	}
	if got, want := fmt.Sprint(c.Args), "[serve --config /etc/partway/config.yaml]"; got != want {
		t.Fatalf("the container runs %s, want %s", got, want)
	}
	g, err := harness.Serve(ctx, binary, dir, here("/etc/partway/config.yaml"), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(40 * time.Second); err != nil {
			t.Error(err)
		}
	})

	if len(c.Ports) != 1 || c.Ports[0].ContainerPort != 9000 || m.service.Spec.Ports[0].TargetPort.String() != c.Ports[0].Name {
		t.Errorf("ports %v, and the service's %v; the image listens at 9000", c.Ports, m.service.Spec.Ports)
	}
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe.HTTPGet.Port.String() != c.Ports[0].Name {
			t.Errorf("the %s probe asks port %s", name, probe.HTTPGet.Port.String())
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Endpoint+probe.HTTPGet.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the %s probe is answered %s", name, resp.Status)
		}
	}
	// MongoDB away must not take every gateway out of the Service.
	if path := c.ReadinessProbe.HTTPGet.Path; path != "/_partway/health" || c.LivenessProbe.HTTPGet.Path != path {
		t.Errorf("readiness asks %s, liveness %s", path, c.LivenessProbe.HTTPGet.Path)
	}
}
