// A camera as a stream of small pictures: sent in batches, the next once Python has said what it has received.
// data: received (frames that Python has), take (of which recording), most, rate (a second), side (pixels, short side)

const cameras = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  if (!cameras.has(parentElement)) cameras.set(parentElement, new Camera(parentElement));
  const camera = cameras.get(parentElement);
  camera.update(data, (batch) => setStateValue("batch", batch));
}

class Camera {
  constructor(root) {
    this.root = root;
    this.video = root.querySelector("video");
    this.button = root.querySelector("button");
    this.status = root.querySelector("[role=status]");
    this.canvas = document.createElement("canvas");
    this.button.onclick = () => (this.stream ? this.finish() : this.start());
  }

  update(data, send) {
    this.data = data;
    this.send = send;
    this.deliver();
  }

  async start() {
    if (!navigator.mediaDevices) {
      return this.say("A browser gives its camera only to pages at localhost or over https: open this one there.");
    }
    this.say("Asking for the camera …");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 }, audio: false });
    } catch (error) {
      return this.say(`There is no camera to be had (${error.message}): allow it in the browser, or upload a file.`);
    }
    this.take = String(Date.now());
    this.pictures = [];
    this.sent = 0;
    this.done = false;
    this.video.srcObject = this.stream;
    await this.video.play();
    this.button.textContent = "Stop";
    this.timer = setInterval(() => this.tick(), 1000 / this.data.rate);
  }

  tick() {
    if (!this.root.isConnected) return this.close(); // the viewer went to another page
    if (!this.done) {
      this.pictures.push(this.picture());
      this.say(`Recording: ${this.pictures.length} frames, at most ${this.data.most}`);
      if (this.pictures.length >= this.data.most) this.finish();
    }
    this.deliver();
  }

  picture() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = this.data.side / Math.min(width, height);
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    return this.canvas.toDataURL("image/jpeg", 0.9);
  }

  deliver() {
    if (!this.take) return;
    const received = this.data.take === this.take ? this.data.received : 0;
    const waiting = this.pictures.length > received || (this.done && !this.told);
    if (received < this.sent || !waiting) return; // one batch at a time
    const pictures = this.pictures.slice(received, received + 32);
    this.sent = received + pictures.length;
    this.told = this.done && this.sent === this.pictures.length;
    this.send({ take: this.take, first: received, pictures, done: this.told });
    if (this.told) this.close();
  }

  finish() {
    this.done = true;
    this.say("Looking at what was recorded …");
    this.deliver();
  }

  close() {
    clearInterval(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = this.stream = this.take = null;
    this.button.textContent = "Record again";
    this.say(`Recorded ${this.pictures.length} frames; what the network says of them is below.`);
  }

  say(text) {
    this.status.textContent = text;
  }
}
