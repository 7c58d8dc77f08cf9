// Marks over an image, of the same size at any zoom: boxes, dots and strokes, at places of the screen.

const HANDLE = 5;

export function drawBox(context, [left, top], [right, bottom], colour, label = "") {
  context.save();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.setLineDash([6, 4]);
  context.strokeRect(left, top, right - left, bottom - top);
  if (label) {
    context.font = "600 12px system-ui, sans-serif";
    context.setLineDash([]);
    context.lineWidth = 3;
    context.strokeStyle = "#000";
    context.fillStyle = colour;
    context.strokeText(label, left, Math.max(12, top - 5));
    context.fillText(label, left, Math.max(12, top - 5));
  }
  context.restore();
}

export function drawDot(context, [x, y], colour) {
  context.beginPath();
  context.arc(x, y, HANDLE, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
}

export function drawStroke(context, places, colour) {
  context.beginPath();
  places.forEach((place, i) => context[i ? "lineTo" : "moveTo"](...place));
  context.lineWidth = 3;
  context.strokeStyle = colour;
  context.stroke();
}
