package org.scriptable.host;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** The methods that Kotlin declares, and a program that calls each: MODEL CONTRACT INPUTS.f32 SIZE... */
public final class NativeEngine {
  static {
    System.loadLibrary("spoof_jni");
  }

  static native long nativeLoad(String path, int threads);

  static native String nativeContract(long handle);

  static native float[][] nativeForward(long handle, float[][] inputs);

  static native void nativeClose(long handle);

  public static void main(String[] arguments) throws Exception {
    long handle;
    try {
      handle = nativeLoad(arguments[0], 1);
    } catch (Exception error) {
      System.out.println(error);
      return;
    }
    Path out = Path.of(arguments[1]);
    Files.write(out, nativeContract(handle).getBytes(StandardCharsets.UTF_8));
    ByteBuffer numbers = ByteBuffer.wrap(Files.readAllBytes(Path.of(arguments[2])));
    numbers.order(ByteOrder.LITTLE_ENDIAN);
    float[][] inputs = new float[arguments.length - 3][];
    for (int i = 0; i < inputs.length; i++) {
      inputs[i] = new float[Integer.parseInt(arguments[3 + i])];
    }
    float[] first = inputs[0];
    while (numbers.remaining() >= 4 * first.length) {
      for (int i = 0; i < first.length; i++) {
        first[i] = numbers.getFloat();
      }
      float[][] results = nativeForward(handle, inputs);
      System.out.println(results[0][0]);
      // What a model gives beside its score is what it takes beside the next samples.
      System.arraycopy(results, 1, inputs, 1, inputs.length - 1);
    }
    refuse(handle, new float[inputs.length + 1][0]);
    float[][] wrong = inputs.clone();
    wrong[0] = new float[first.length - 1];
    refuse(handle, wrong);
    first[first.length / 2] = Float.NaN;
    refuse(handle, inputs);
    nativeClose(handle);
  }

  private static void refuse(long handle, float[][] inputs) {
    try {
      System.out.println(nativeForward(handle, inputs)[0][0]);
    } catch (RuntimeException error) {
      System.out.println(error);
    }
  }
}
