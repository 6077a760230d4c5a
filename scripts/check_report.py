#!/usr/bin/env python3
"""Opens a report in headless Chromium and uses it as a reader does.

usage: scripts/check_report REPORT.html FOLDER

Fails on any message of the console that is an error, if a colouring or a gene that is picked does not arrive, or if the
page is wider than the screen. Screenshots at the width of a desk and of a phone, light and dark, go to FOLDER.
Standard library alone; needs `chromedriver` and `chromium` (Debian: chromium-driver, chromium).
"""

import base64
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ENTER, DOWN = "\ue007", "\ue015"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One session, spoken to by the WebDriver protocol (w3.org/TR/webdriver2)."""

    def __init__(self, width, height, dark=False, ratio=1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.at = f"http://127.0.0.1:{port}"
        # The sandbox refuses to run as root, as in containers; the page is ours.
        switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", f"--window-size={max(width, 500)},{height}"]
        if dark:
            switches.append("--blink-settings=preferredColorScheme=0")
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": switches}, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self._await()
            self.session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            # Windows have a least width; the device's is set on the page.
            metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": width < 600}
            self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
            self.devtools("Emulation.setEmulatedMedia", scheme)
        except BaseException:
            self.driver.terminate()
            raise

    def _await(self):
        for _ in range(100):
            try:
                if self._send("GET", "/status")["ready"]:
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise SystemExit("error: chromedriver does not answer")

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.at + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"error: {path}: {json.load(error)['value']['message']}") from error

    def send(self, method, path, body=None):
        return self._send(method, f"/session/{self.session}{path}", body)

    def devtools(self, command, parameters):
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script):
        return self.send("POST", "/execute/sync", {"script": script, "args": []})

    def find(self, selector):
        return self.send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.send("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        self.send("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def state(self):
        """What the page says of itself, after it has drawn."""
        self.send("POST", "/execute/async", {"script": "const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 60))", "args": []})
        return self.run("return {...document.documentElement.dataset}")

    def errors(self):
        return [entry for entry in self.send("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def screenshot(self, path):
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return window.innerWidth")
        shot = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
        path.write_bytes(base64.b64decode(shot["data"]))
        print(f"  {path} ({width} x {height})")

    def close(self):
        try:
            self.send("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(timeout=10)


def need(condition, what):
    if not condition:
        raise SystemExit(f"error: {what}")


def use(browser):
    """Picks a colouring, arrows, a cell, a gene; returns the milliseconds that drawings of the map took."""
    taken = []

    def state():
        found = browser.state()
        taken.append(float(found.get("drawMs", 0)))
        return found

    first = state()
    options = browser.run("return [...document.querySelectorAll('#colour option')].map(o => o.textContent)")
    for name in options[1:] + options[:1]:
        index = options.index(name)
        browser.run(f"const s = document.getElementById('colour'); s.value = '{index}'; s.dispatchEvent(new Event('change'))")
        need(state()["colouring"] == name, f"the map is not coloured by {name}")
    for mode in browser.run("return [...document.querySelectorAll('#arrows option')].map(o => o.value)"):
        browser.run(f"const s = document.getElementById('arrows'); s.value = '{mode}'; s.dispatchEvent(new Event('change'))")
        need(state()["arrows"] == mode, f"arrows are not {mode}")
    browser.run("const s = document.getElementById('arrows'); s.selectedIndex = 0; s.dispatchEvent(new Event('change'))")

    canvas = browser.run("const b = document.getElementById('map-canvas'); b.scrollIntoView(); const r = b.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]")
    for step in range(1, 60):
        x, y = canvas[0] + canvas[2] * (step % 8 + 1) / 9, canvas[1] + canvas[3] * (step // 8 + 1) / 9
        browser.devtools("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        if not browser.run("return document.getElementById('map-tip').hidden"):
            break
    need(browser.run("return document.getElementById('map-tip').textContent.length > 0"), "no cell answers to the pointer")
    browser.click("#zoom-in")
    state()
    browser.click("#zoom-reset")

    names = browser.run("return [...document.querySelectorAll('#gene-list .name')].map(n => n.textContent)")
    wanted = names[min(5, len(names) - 1)]
    browser.type("#gene-search", wanted)
    listed = browser.run("return [...document.querySelectorAll('#gene-list .name')].map(n => n.textContent)")
    need(listed and listed[0] == wanted and all(wanted.lower() in name.lower() for name in listed), "typing does not filter the genes")
    browser.click("#gene-list li")
    need(state()["gene"] == wanted and first["gene"] != wanted, f"{wanted} was not picked by a click")
    browser.run("const s = document.getElementById('gene-search'); s.value = ''; s.dispatchEvent(new Event('input'))")
    browser.type("#gene-search", DOWN + ENTER)
    need(state()["gene"] != wanted, "the keyboard does not pick a gene")
    drawn = "const c = document.getElementById('chart-phase'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(new Uint32Array(d.buffer)).size"
    need(browser.run(drawn) > 20, "the phase portrait is empty")
    browser.click(".gene-colour button:last-child")
    need(browser.run("return document.getElementById('gene-name').textContent") in state()["colouring"], "the map does not show the gene")
    return sorted(taken)


def main():
    need(len(sys.argv) == 3, "usage: scripts/check_report REPORT.html FOLDER")
    report, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, width, height, dark, ratio in [("desk", 1400, 900, False, 1), ("desk_dark", 1400, 900, True, 1), ("phone", 390, 844, False, 2), ("phone_dark", 390, 844, True, 2)]:
        browser = Browser(width, height, dark, ratio)
        try:
            browser.send("POST", "/url", {"url": report.as_uri()})
            browser.state()
            need(not browser.run("return document.documentElement.scrollWidth > window.innerWidth"), f"{name}: the page is wider than the screen")
            browser.screenshot(folder / f"{name}.png")
            taken = use(browser)
            browser.run("window.scrollTo(0, 0)")
            browser.state()
            browser.screenshot(folder / f"{name}_used.png")
            errors = browser.errors()
            need(not errors, f"{name}: {errors}")
            print(f"{name}: no errors; drawings of the map: median {taken[len(taken) // 2]:.1f} ms, slowest {taken[-1]:.1f} ms")
        finally:
            browser.close()


if __name__ == "__main__":
    main()
