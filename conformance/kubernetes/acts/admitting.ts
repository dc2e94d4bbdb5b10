/** Pods that must be meshed, pods that must not be let in, and pods that end. */
import { setTimeout as sleep } from "node:timers/promises";
import { statusFrom } from "../asking.ts";
import { deployment, job, namespace, service, urlOf } from "../objects.ts";
import { eventually } from "../world.ts";
import type { Act } from "../suite.ts";
import { CALLER, WEB } from "./installing.ts";

const STRICT = "strict";
const PLAIN = { namespace: "plain", deployment: "plain" } as const;
const SHUT = "shut";
const WEBHOOK = "linkerd-proxy-injector";
const JOBS = "jobs";

export const ADMITTING: readonly Act[] = [
  {
    name: "where only the authenticated are let in, an unmeshed pod is not",
    play: async (world) => {
      const strict = {
        "linkerd.io/inject": "enabled",
        "config.linkerd.io/default-inbound-policy": "all-authenticated",
      };
      await world.apply(
        namespace(STRICT, strict),
        deployment({ name: "web", namespace: STRICT }),
        service("web", STRICT, { app: "web" }),
        namespace(PLAIN.namespace),
        deployment({ name: PLAIN.deployment, namespace: PLAIN.namespace }),
      );
      await world.rolledOut(STRICT, "deploy/web");
      await world.rolledOut(PLAIN.namespace, `deploy/${PLAIN.deployment}`);
      const url = urlOf("web", STRICT);
      const meshed = await eventually("the meshed caller is let in", async () => {
        const status = await statusFrom(world, CALLER, url);
        return status === "200" ? status : undefined;
      });
      const plain = await statusFrom(world, PLAIN, url);
      const open = await statusFrom(world, PLAIN, WEB);
      if (plain !== "403") throw new Error(`the unmeshed pod has ${plain}, not 403`);
      if (open !== "200") throw new Error(`where everybody is let in, the unmeshed pod has ${open}`);
      return `meshed ${meshed}, unmeshed ${plain}`;
    },
  },
  {
    name: "a Job ends with its proxy, and its init container has a network",
    play: async (world) => {
      await world.apply(namespace(JOBS, { "linkerd.io/inject": "enabled" }), job("once", JOBS, WEB));
      const began = performance.now();
      await world.ask(["-n", JOBS, "wait", "--for=condition=Complete", "job/once", "--timeout=60s"]);
      const proxies = "jsonpath={.items[0].spec.initContainers[*].name}";
      const names = await world.ask(["-n", JOBS, "get", "pods", "-l", "app=once", "-o", proxies]);
      if (!names.includes("linkerd-proxy")) throw new Error(`its pod has no proxy: ${names}`);
      const told = await world.ask(["-n", JOBS, "logs", "job/once", "-c", "before"]);
      if (!told.includes("StatusCode=200")) throw new Error(`its init container saw ${told.slice(0, 200)}`);
      return `after ${Math.round((performance.now() - began) / 1_000)} s`;
    },
  },
  {
    name: "with no injector, no unmeshed pod starts where the mesh is asked for",
    play: async (world) => {
      await world.ask(["-n", "linkerd", "scale", `deploy/${WEBHOOK}`, "--replicas=0"]);
      await world.ask([
        "-n",
        "linkerd",
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "linkerd.io/control-plane-component=proxy-injector",
        "--timeout=60s",
      ]);
      try {
        await world.apply(
          namespace(SHUT, { "linkerd.io/inject": "enabled" }),
          deployment({ name: "web", namespace: SHUT }),
        );
        await sleep(5_000);
        const pods = await world.ask(["-n", SHUT, "get", "pods", "-o", "name"]);
        if (pods !== "") throw new Error(`there is ${pods}`);
        const open = { name: "open", namespace: PLAIN.namespace } as const;
        await world.apply(deployment(open));
        await world.rolledOut(PLAIN.namespace, "deploy/open");
      } finally {
        await world.ask(["-n", "linkerd", "scale", `deploy/${WEBHOOK}`, "--replicas=1"]);
      }
      await world.rolledOut("linkerd", `deploy/${WEBHOOK}`);
      await world.rolledOut(SHUT, "deploy/web");
      return "held back until the injector came back; other namespaces were not";
    },
  },
];
