package org.scriptable.host;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** The methods that Kotlin declares, and a program that calls each: MODEL [WINDOWS.f32]. */
public final class NativeEngine {
  static {
    System.loadLibrary("spoof_jni");
  }

  static native long nativeLoad(String path, int threads);

  static native String nativeContract(long handle);

  static native float nativeScore(long handle, float[] window);

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
    ByteBuffer windows = ByteBuffer.wrap(Files.readAllBytes(Path.of(arguments[2])));
    windows.order(ByteOrder.LITTLE_ENDIAN);
    float[] window = new float[Integer.parseInt(arguments[3])];
    while (windows.remaining() >= 4 * window.length) {
      for (int i = 0; i < window.length; i++) {
        window[i] = windows.getFloat();
      }
      System.out.println(nativeScore(handle, window));
    }
    for (float[] bad : new float[][] {new float[window.length - 1], notANumber(window.length)}) {
      try {
        System.out.println(nativeScore(handle, bad));
      } catch (RuntimeException error) {
        System.out.println(error);
      }
    }
    nativeClose(handle);
  }

  private static float[] notANumber(int length) {
    float[] window = new float[length];
    java.util.Arrays.fill(window, Float.NaN);
    return window;
  }
}
