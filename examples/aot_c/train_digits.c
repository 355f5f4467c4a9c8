/* Trains digits.grad from an object file: no compiler, no library of gradc, memory of its own. See README.md.
 * usage: train_digits digits.csv EPOCHS [state.bin] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

enum { FEATURES = 64, MAX_ROWS = 2000 };
static float images[MAX_ROWS][FEATURES];
static int32_t labels[MAX_ROWS];

static int read_rows(const char* path) {
  FILE* f = fopen(path, "r");
  char line[4096];
  int rows = 0;
  if (!f || !fgets(line, sizeof line, f)) return 0; /* the header */
  while (rows < MAX_ROWS && fgets(line, sizeof line, f)) {
    char* cell = line;
    for (int i = 0; i < FEATURES; ++i, ++cell) images[rows][i] = strtof(cell, &cell);
    labels[rows++] = (int32_t)strtol(cell, NULL, 10);
  }
  fclose(f);
  return rows;
}

static void* region(int64_t bytes) {
  void* p = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  if (!p) exit(1);
  return memset(p, 0, (size_t)bytes);
}

static void put_i64(char* io, int64_t offset, int64_t value) { memcpy(io + offset, &value, sizeof value); }

int main(int argc, char** argv) {
  const int rows = argc > 2 ? read_rows(argv[1]) : 0;
  if (rows == 0) return fprintf(stderr, "usage: train_digits digits.csv EPOCHS [state.bin]\n"), 2;
  const int epochs = atoi(argv[2]);
  const int64_t batch = DIGITS_TRAIN_STEP_MAX_B, steps = (rows + batch - 1) / batch;
  char *state = region(DIGITS_STATE_BYTES), *io = region(DIGITS_IO_BYTES), *scratch = region(DIGITS_SCRATCH_BYTES(1));
  int64_t table[DIGITS_TRAIN_STEP_TABLE > DIGITS_INIT_TABLE ? DIGITS_TRAIN_STEP_TABLE : DIGITS_INIT_TABLE];

  digits_init_table(table);
  put_i64(io, DIGITS_INIT_IN_SEED, 1);
  digits_init(state, io, scratch, table, 0, 1, NULL);

  for (int64_t step = 0; step < steps * epochs; ++step) {
    const int64_t from = step % steps * batch, n = rows - from < batch ? rows - from : batch;
    digits_train_step_table(table, n);
    memcpy(io + DIGITS_TRAIN_STEP_IN_X, images[from], (size_t)n * sizeof images[0]);
    memcpy(io + DIGITS_TRAIN_STEP_IN_Y, &labels[from], (size_t)n * sizeof labels[0]);
    put_i64(io, DIGITS_TRAIN_STEP_IN_STEP, step);
    put_i64(io, DIGITS_TRAIN_STEP_IN_TOTAL, steps * epochs);
    put_i64(io, DIGITS_TRAIN_STEP_IN_SEED, 1);
    digits_train_step(state, io, scratch, table, 0, 1, NULL);
    float loss;
    memcpy(&loss, io + DIGITS_TRAIN_STEP_OUT_LOSS, sizeof loss);
    if ((step + 1) % steps == 0) printf("epoch %d  loss %.4f\n", (int)(step / steps) + 1, loss);
  }
  FILE* out = argc > 3 ? fopen(argv[3], "wb") : NULL;
  if (out && (fwrite(state, DIGITS_STATE_BYTES, 1, out) != 1 || fclose(out) != 0)) return 1;
  return 0;
}
