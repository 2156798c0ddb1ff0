"""What a source holds, neutral: layers, their settings, lazy arrays, names. No framework's word stands here."""
