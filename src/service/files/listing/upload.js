// Uploads by PUT, several at once, which go on where they stopped; and deletion. What the server
// names is only ever set as text.
"use strict";
(() => {
  const AT_ONCE = 3;
  const WORDS = {
    0: "the connection broke",
    403: "it is not allowed",
    404: "the server does not take this name",
    405: "the server takes no uploads here",
    409: "something is in its place that a file cannot replace",
    412: "somebody else has changed it meanwhile",
    413: "it is larger than the server takes",
    503: "the server has too much to do",
    507: "the server's disk is full",
  };
  const find = (selector) => document.querySelector(selector);
  const bar = find("#upload .bar"), status = find("#upload [role=status]"), list = find("#uploads");
  const uploads = new Set();
  let drops = 0;
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text) element.textContent = text;
    return element;
  };
  const button = (text, action, className) => {
    const made = make("button", className, text);
    made.type = "button";
    made.addEventListener("click", action);
    return made;
  };
  const why = (answer) => WORDS[answer.status] || `the server says ${answer.status} ${answer.statusText}`;
  const size = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; bytes >= 1023.5 && unit < 4; unit += 1) bytes /= 1024;
    return `${bytes.toFixed(unit && bytes < 99.5 ? 1 : 0)} ${units[unit]}`;
  };
  const time = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

  // One request; whatever becomes of it, it ends, with status 0 where there was no answer.
  const request = (method, url, headers, body, begun) => new Promise((ended) => {
    const asked = new XMLHttpRequest();
    asked.open(method, url);
    if (method === "GET") asked.responseType = "document";
    for (const [name, value] of Object.entries(headers)) asked.setRequestHeader(name, value);
    asked.addEventListener("loadend", () => ended(asked));
    if (begun) begun(asked);
    asked.send(body);
  });

  class Upload {
    constructor(file, path) {
      const whole = (name) => (name.toWellFormed ? name.toWellFormed() : name);
      Object.assign(this, { file, state: "waiting", choice: null, begun: false, replaces: false });
      this.url = "./" + path.split("/").map((name) => encodeURIComponent(whole(name))).join("/");
      this.item = make("li");
      this.what = make("bdi", "what", path);
      this.progress = make("progress");
      this.progress.max = Math.max(file.size, 1);
      this.progress.setAttribute("aria-label", path);
      this.words = make("span", "words");
      this.buttons = make("span", "buttons");
      this.item.append(this.what, this.progress, this.words, this.buttons);
      list.append(this.item);
      uploads.add(this);
      this.become("waiting", "waiting");
    }

    // A state, words for it, and what can be done: [label, action] each.
    become(state, words, ...actions) {
      this.state = state;
      this.item.className = state;
      this.words.textContent = words;
      this.progress.hidden = state !== "running";
      const inner = this.buttons.contains(document.activeElement);
      if (state === "waiting" || state === "running") actions.push(["Cancel", () => this.cancel()]);
      this.buttons.replaceChildren(...actions.map(([label, action], place) =>
        button(label, action, place === 0 && state === "asking" ? "first" : "")));
      if (inner && this.buttons.firstChild) this.buttons.firstChild.focus();
      tell();
    }

    choose(choice) {
      this.choice = choice;
      this.become("waiting", "waiting");
      next();
    }

    skip() {
      this.become("skipped", "skipped");
    }

    cancel() {
      const asked = this.asked;
      this.become("cancelled", "cancelled", [this.begun ? "Go on" : "Start", () => this.choose(this.choice)]);
      if (asked) asked.abort();
      next();
    }

    fail(words) {
      this.become("failed", words, ["Retry", () => this.choose(this.choice)]);
    }

    send(method, headers, body) {
      return request(method, this.url, headers, body, (asked) => { this.asked = asked; this.watch(asked); });
    }

    async run() {
      this.become("running", "asking the server");
      const { size: total } = this.file;
      const found = await this.send("HEAD", {});
      if (this.state !== "running") return;
      const exists = found.status >= 200 && found.status < 300;
      if (!exists && found.status !== 404) return this.fail(why(found));
      if (exists && found.responseURL.endsWith("/")) return this.fail("a directory has this name");
      const waiting = Number(found.getResponseHeader("Upload-Offset")) || 0;
      // A part that was to be started over, and is there still, is not of this file; nor is one that
      // is as long or longer, unless we sent it: then its last byte goes again, as no range is empty.
      const ours = this.choice === "go on" || waiting !== this.foreign;
      const part = !ours ? 0 : waiting < total ? waiting : this.begun ? Math.max(total - 1, 0) : 0;
      if (!this.choice && !this.begun) {
        const skip = ["Skip", () => this.skip()];
        Object.assign(this, { replaces: exists, foreign: waiting });
        if (part) {
          const words = `${size(part)} of an earlier upload of this name are there: go on only with the same file`;
          return this.become("asking", exists ? words + "; it replaces a file" : words,
            ["Go on", () => this.choose("go on")], ["Start over", () => this.choose("start over")], skip);
        }
        if (exists) {
          return this.become("asking", "a file of this name is there already",
            ["Replace", () => this.choose("replace")], skip);
        }
      }
      await this.put(this.begun || this.choice === "go on" ? part : 0);
    }

    async put(first) {
      const { size: total } = this.file;
      const headers = this.replaces ? {} : { "If-None-Match": "*" };
      if (first) headers["Content-Range"] = `bytes ${first}-${total - 1}/${total}`;
      Object.assign(this, { begun: true, first, marks: [] });
      const answer = await this.send("PUT", headers, first ? this.file.slice(first) : this.file);
      if (this.state !== "running") return;
      const held = answer.getResponseHeader("Upload-Offset");
      if (answer.status === 201 || answer.status === 204 || answer.status === 200) {
        this.become("done", `${size(total)} uploaded`);
      } else if (answer.status === 412 && !this.replaces) {
        Object.assign(this, { begun: false, replaces: true });
        this.become("asking", "a file of this name has come meanwhile",
          ["Replace", () => this.choose("replace")], ["Skip", () => this.skip()]);
      } else if (answer.status === 409 && held !== null && Number(held) < first) {
        await this.put(Number(held));
      } else {
        this.fail(why(answer));
      }
    }

    // Progress, and the rate over the last seconds.
    watch(asked) {
      asked.upload.addEventListener("progress", ({ loaded }) => {
        if (this.asked !== asked || this.state !== "running") return;
        const { file: { size: total }, marks } = this, now = performance.now();
        marks.push([now, loaded]);
        while (marks.length > 2 && marks[0][0] < now - 5000) marks.shift();
        const at = Math.min(this.first + loaded, total), [since, before] = marks[0];
        const rate = now > since ? (loaded - before) / (now - since) * 1000 : 0;
        const left = rate > 0 ? ` · ${size(rate)}/s · ${time((total - at) / rate)} left` : "";
        this.progress.value = at;
        this.words.textContent = at < total ? `${size(at)} of ${size(total)}${left}` : "finishing";
      });
    }
  }

  const among = (...states) => [...uploads].filter(({ state }) => states.includes(state));
  const over = () => among("done", "cancelled", "skipped", "failed");
  const replaceAll = button("Replace all", () => among("asking").forEach((upload) => upload.choose("replace")));
  const skipAll = button("Skip all", () => among("asking").forEach((upload) => upload.skip()));
  const clear = button("Clear", () => {
    over().forEach((upload) => uploads.delete(upload) && upload.item.remove());
    tell();
  });

  // How all of it stands, in one line that is read aloud; once for all that happens in one go.
  let isStale = false;
  const tell = () => {
    if (!isStale) queueMicrotask(show);
    isStale = true;
  };
  const show = () => {
    isStale = false;
    const parts = [["done", "uploaded"], ["running", "under way"], ["waiting", "waiting"],
      ["asking", "to be decided"], ["failed", "failed"], ["cancelled", "cancelled"], ["skipped", "skipped"]];
    const counts = parts.map(([state, word]) => [among(state).length, word]).filter(([count]) => count);
    const text = counts.map(([count, word]) => `${count} ${word}`).join(" · ");
    if (status.textContent !== text) status.textContent = text;
    bar.hidden = !uploads.size;
    replaceAll.hidden = skipAll.hidden = among("asking").length < 2;
    clear.hidden = !over().length;
  };

  const next = () => {
    const waiting = among("waiting");
    for (let room = AT_ONCE - among("running").length; room > 0 && waiting.length; room -= 1) {
      const upload = waiting.shift();
      upload.run().catch((error) => upload.fail(String(error))).finally(next);
    }
    if (!among("running", "waiting").length && among("done").some((upload) => !upload.listed)) {
      among("done").forEach((upload) => { upload.listed = true; });
      refresh();
    }
  };

  const say = (words) => {
    const item = make("li", "failed");
    item.append(make("span", "words", words), button("Dismiss", () => item.remove()));
    list.append(item);
  };

  // The listing as it is now, below messages that stay.
  const refresh = async () => {
    const { response, status } = await request("GET", location.href, { Accept: "text/html" });
    const fresh = status === 200 && response;
    for (const id of ["#summary", "#entries"]) {
      const part = fresh && fresh.querySelector(id);
      if (part) find(id).replaceWith(document.importNode(part, true));
    }
    if (!fresh) say("The listing could not be read again: reload the page to see what is there.");
    enliven();
  };

  const enliven = () => document.querySelectorAll("#entries .file").forEach((row, place) => {
    const name = row.querySelector("bdi").textContent;
    const remove = button("Delete", async () => {
      if (!confirm(`Delete ${name}?`)) return;
      const answer = await request("DELETE", row.querySelector("a").getAttribute("href"), {});
      if (![200, 204, 404].includes(answer.status)) return say(`${name} was not deleted: ${why(answer)}.`);
      await refresh();
      // The keyboard goes on where it was.
      const others = document.querySelectorAll("#entries .act button");
      (others[Math.min(place, others.length - 1)] || find("#entries th a")).focus({ preventScroll: true });
    });
    remove.setAttribute("aria-label", `Delete ${name}`);
    row.querySelector(".act").replaceChildren(remove);
  });

  const add = (files) => {
    files.forEach(([file, path]) => new Upload(file, path));
    next();
  };

  // All files of what was dropped; a directory tells its entries a hundred at a time.
  const walk = async (entry, path, files) => {
    const here = path + entry.name;
    const file = entry.isFile && await new Promise((ok, no) => entry.file(ok, no));
    if (file) return void files.push([file, here]);
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((ok, no) => reader.readEntries(ok, no));
      if (!some.length) return;
      for (const inner of some) await walk(inner, here + "/", files);
    }
  };

  const carriesFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes("Files");
  const shade = (change) => {
    drops = Math.max(drops + change, 0);
    document.body.classList.toggle("dropping", drops > 0);
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && shade(1));
  addEventListener("dragleave", (event) => carriesFiles(event) && shade(-1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    shade(-drops);
    // What was dropped is known only until the first wait.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const files = [];
    try {
      for (const entry of entries) await walk(entry, "", files);
    } catch (error) {
      say(`Not all that was dropped could be read: ${error.message}.`);
    }
    add(files);
  });
  addEventListener("beforeunload", (event) => among("running", "waiting").length && event.preventDefault());
  for (const input of [find("#files"), find("#folder")]) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => [file, file.webkitRelativePath || file.name]));
      input.value = "";
    });
  }
  find("#folder").webkitdirectory = true;
  bar.querySelector(".buttons").append(replaceAll, skipAll, clear);
  find("#upload").hidden = false;
  enliven();
})();
