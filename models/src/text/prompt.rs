//! What stands around a prompt before it is cut into tokens.

/// What Lumina-Image-2.0 is told before each prompt, if nothing else is asked for.
pub const LUMINA2_SYSTEM: &str = "You are an assistant designed to generate superior images with the superior degree of \
                                  image-text alignment based on textual prompts or user prompts.";

/// The text of Lumina-Image-2.0. Its empty negative prompt goes without it.
///
/// Source: `Lumina2Pipeline._get_gemma_prompt_embeds` of diffusers; `<Prompt Start>` is plain text.
pub fn with_system_prompt(system: &str, prompt: &str) -> String {
    format!("{system} <Prompt Start> {prompt}")
}

/// The text of Z-Image: the chat template of Qwen3 for one message of the user, thinking not switched off.
///
/// Source: `ZImagePipeline._encode_prompt` of diffusers.
pub fn chat_prompt(prompt: &str) -> String {
    format!("<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
}
