import { type ArgumentMetadata, BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';

const MOST_CHARACTERS = 20_000;

/** Accepts a text that says something, without the white space around it. */
@Injectable()
export class RequiredTextPipe implements PipeTransform<unknown, string> {
  transform(value: unknown, { data: field }: ArgumentMetadata): string {
    const text = typeof value === 'string' ? value.trim() : '';
    if (text === '') throw new BadRequestException(`The body needs "${field}", a text that is not empty.`);
    if (text.length > MOST_CHARACTERS) {
      throw new BadRequestException(`"${field}" is too long: at most ${MOST_CHARACTERS} characters.`);
    }
    return text;
  }
}
