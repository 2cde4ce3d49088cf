/** What can be said to the user about a model, in one line. */
export class ModelError extends Error {}

/** The model's contract is missing, or not one that this scorer keeps. */
export class ContractError extends ModelError {}

/** The recording cannot be scored. */
export class AudioError extends Error {}
