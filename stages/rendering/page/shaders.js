// Light as in films: three lamps and a sky, wrapped round the face, red a little further; a broad and a small highlight.

// `centroid`: at the edge of a triangle nothing is guessed from beyond it.
const VERTEX_SHADER = `#version 300 es
uniform mat4 toPicture;
uniform float strongestGloss;
layout(location = 0) in vec3 place;
layout(location = 1) in vec3 normal;
layout(location = 2) in float distanceToTruth;
layout(location = 3) in vec3 colour;
layout(location = 4) in vec2 gloss;
centroid out vec3 n;
centroid out vec3 albedo;
centroid out vec2 shine;
centroid out float away;
void main() {
  n = normalize(normal);
  albedo = colour * colour;
  shine = gloss * strongestGloss;
  away = distanceToTruth;
  gl_Position = toPicture * vec4(place, 1.0);
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
const int LAMPS = NUM_LAMPS;
const float RED_BLEED = 0.10;
const float SHEEN = 16.0;
const float GLINT_OF_SHEEN = 25.0;
const float KNEE = 0.75;
uniform vec3 lampDirection[LAMPS];
uniform vec3 lampColour[LAMPS];
uniform vec2 lampWrapAndGloss[LAMPS];
uniform vec3 viewer;
uniform vec3 ramp[NUM_COLOURS];
uniform float fullScale;  // of the distances that are shown as colours; 0 where none are
centroid in vec3 n;
centroid in vec3 albedo;
centroid in vec2 shine;
centroid in float away;
out vec4 picture;

float wrapped(float cosine, float wrap) {
  float facing = max((cosine + wrap) / (1.0 + wrap), 0.0);
  return facing * facing;
}

vec3 rampAt(float share) {
  float at = clamp(share, 0.0, 1.0) * float(NUM_COLOURS - 1);
  int low = min(int(at), NUM_COLOURS - 2);
  return mix(ramp[low], ramp[low + 1], at - float(low));
}

vec3 shown(vec3 light) {
  vec3 soft = 1.0 - (1.0 - KNEE) * exp((KNEE - light) / (1.0 - KNEE));
  light = mix(soft, light, vec3(lessThan(light, vec3(KNEE))));
  return mix(1.055 * pow(max(light, 0.0031308), vec3(1.0 / 2.4)) - 0.055, 12.92 * light, vec3(lessThan(light, vec3(0.0031308))));
}

void main() {
  vec3 up = normalize(n);
  vec3 light = vec3(0.0);
  vec3 highlights = vec3(0.0);
  for (int k = 0; k < LAMPS; k++) {
    float cosine = dot(up, lampDirection[k]);
    float near = wrapped(cosine, lampWrapAndGloss[k].x);
    light += lampColour[k] * vec3(wrapped(cosine, lampWrapAndGloss[k].x + RED_BLEED), near, near);
    if (lampWrapAndGloss[k].y > 0.0) {
      float broad = pow(max(dot(up, normalize(lampDirection[k] + viewer)), 0.0), SHEEN);
      highlights += lampColour[k] * lampWrapAndGloss[k].y * (broad * shine.x + pow(broad, GLINT_OF_SHEEN) * shine.y);
    }
  }
  if (fullScale > 0.0) {
    // Plain, even light: the colour has to be read off the bar.
    float facing = 0.62 + 0.38 * max(dot(up, viewer), 0.0);
    picture = vec4(rampAt(away / fullScale) * facing, 1.0);
  } else {
    picture = vec4(shown(albedo * light + highlights), 1.0);
  }
}`;
