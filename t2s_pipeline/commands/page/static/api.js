// Requests to the server of this page. A fault is an Error with the server's sentence.

async function send(method, path, body, type = "application/json") {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: body === undefined ? {} : { "Content-Type": type } });
  } catch {
    throw new Error("The server of this page does not answer. Has `t2s app` ended?");
  }
  let content;
  try {
    content = await answer.json();
  } catch {
    throw new Error(answer.status === 403 ? "The server was started again: reload the page." : "The server's answer cannot be read.");
  }
  if (!answer.ok) throw new Error(content.fault ?? `The server answers ${answer.status}.`);
  return content;
}

export const get = (path) => send("GET", path);
export const post = (path, value) => send("POST", path, JSON.stringify(value));
export const put = (path, value) => send("PUT", path, JSON.stringify(value));
export const remove = (path) => send("DELETE", path);
export const upload = (file) =>
  send("POST", `/api/scenes?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream");
